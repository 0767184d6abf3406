//! Floor 7: command line in, exit code out.

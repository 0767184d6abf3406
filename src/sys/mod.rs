//! Floor 0: the only unsafe code, a few lines around one system call each.

//! Floor 6: the one wiring place: start order, long-lived tasks, reload, drain.

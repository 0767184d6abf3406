//! Floor 5: text to a checked, immutable configuration. Rooms get plain settings and never see it.

//! The environment of a run: cleared, then an allow-list.

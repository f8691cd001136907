//! The supervisor: a stead process of its own that holds the lease, ends everything of a run and dies with its parent.

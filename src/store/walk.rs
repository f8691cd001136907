//! Walking a tree by directory descriptors in several threads: no link is followed, no other device entered, nothing
//! is opened but directories; depth and descriptors are bounded.

//! Whether work is delivered: reachable from a ref outside, in origin as last fetched (the pool) or in the local project
//! looked at now.

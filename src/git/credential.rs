//! User names and passwords for http: tokens of the environment, `.netrc`, then `git credential` with the user's own
//! configuration; never the configuration of a tree.

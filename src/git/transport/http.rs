//! Smart HTTP for git2 over `ureq`.

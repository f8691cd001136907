//! Ignore rules: the base's `.gitignore` files, the user's global excludes and the live `.gitignore` files, from contents
//! that the walker read itself; the agent's `info/exclude` counts for nothing.

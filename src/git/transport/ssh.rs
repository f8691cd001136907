//! ssh for git2 by the user's own `ssh`, started just as git does.

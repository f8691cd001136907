//! The trash: where removed workspaces go, whole, and come back from.

//! The agent's `.git`: the one function that builds it, in staging, and the one that swaps it in.

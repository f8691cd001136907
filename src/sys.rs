//! The only file with `unsafe`: one call a function, each with the argument why it is sound.

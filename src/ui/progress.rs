//! Progress bars on stderr by `indicatif`.

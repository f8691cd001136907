//! Git LFS pointers: what they stand for. Nothing is fetched and no filter runs.

use sha2::{Digest as _, Sha256};

/// Returns the SHA-256, in hex, of the content that a pointer stands for; `None` when it is not one.
pub(crate) fn pointee(blob: &[u8]) -> Option<&str> {
    const LONGEST: usize = 1024;
    if blob.len() > LONGEST || !blob.starts_with(b"version https://git-lfs.github.com/spec/") {
        return None;
    }
    let text = std::str::from_utf8(blob).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oid sha256:"))
}

/// Returns whether `pointer` stands for `content`.
pub(crate) fn is_of(pointer: &[u8], content: &[u8]) -> bool {
    pointee(pointer).is_some_and(|id| id == hex(&sha256(content)))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_stands_for_its_content_and_no_other() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\n\
            oid sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nsize 3\n";
        assert!(is_of(pointer, b"abc"));
        assert!(!is_of(pointer, b"abd"));
        assert!(!is_of(b"abc", b"abc"));
    }

    #[test]
    fn sums_of_known_texts_are_right() {
        let million = vec![b'a'; 1_000_000];
        for (text, sum) in [
            (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ] {
            assert_eq!(hex(&sha256(text)), sum);
        }
    }
}

//! Properties of what is read from and written to a disk that somebody hostile has a hand in.

#![expect(clippy::disallowed_methods, reason = "only tests and fuzzers write what these read")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::git::agentdir;
use crate::store::beneath::Dir;

/// What is outside of the directory, and must stay as it is and unread.
const SECRET: &[u8] = b"outside";

/// Makes `dir/in`, which holds a few things and links that lead out, and `dir/out`.
fn place(dir: &Path) -> Dir {
    let inside = dir.join("in");
    if inside.exists() {
        std::fs::remove_dir_all(&inside).expect("removed");
    }
    std::fs::create_dir_all(inside.join("a/b")).expect("directories");
    std::fs::create_dir_all(dir.join("out/x")).expect("directories");
    std::fs::write(dir.join("out/file"), SECRET).expect("a file");
    std::fs::write(inside.join("file"), b"inside").expect("a file");
    for (target, name) in
        [("../out", "up"), ("/", "top"), ("a", "in"), ("../out/file", "link"), ("../../out", "a/up"), ("self", "self")]
    {
        symlink(target, inside.join(name)).expect("a link");
    }
    Dir::open(&inside).expect("it was made")
}

/// No path leads out of a directory, whatever is done at it.
pub(crate) fn beneath(dir: &Path, path: &[u8]) {
    let inside = place(dir);
    let path = Path::new(OsStr::from_bytes(path));
    let read = |path: &Path| inside.read(path, 100).ok().flatten().unwrap_or_default();
    assert_ne!(read(path), SECRET, "{}", path.display());
    drop(inside.stat(path));
    if let Ok(found) = inside.dir(path) {
        assert!(found.stat(Path::new("x")).is_ok_and(|stat| stat.is_none()), "{} is outside", path.display());
    }
    drop(inside.create_dir_all(&path.join("made")));
    drop(inside.create_file(&path.join("new"), 0o600));
    drop(inside.create_link(OsStr::new("target"), &path.join("newlink")));
    drop(inside.replace(path, b"replaced", 0o600));
    drop(inside.rename(Path::new("file"), &inside, path));
    drop(inside.rename(path, &inside, Path::new("moved")));
    drop(inside.unlink(path));
    drop(inside.remove_dir(path));
    drop(inside.remove_all(path));
    let outside = |path: &str| std::fs::read_dir(dir.join(path)).expect("it stays").count();
    assert_eq!((outside("out"), outside("out/x"), outside(".")), (2, 0, 2), "{}", path.display());
    assert_eq!(std::fs::read(dir.join("out/file")).expect("it stays"), SECRET);
}

/// Every ref that is read has a name and an id that git may have, and what cannot be read is told.
pub(crate) fn refs(dir: &Path, head: &[u8], packed: &[u8], loose: &[u8]) {
    std::fs::create_dir_all(dir.join("refs/heads")).expect("directories");
    std::fs::create_dir_all(dir.join("logs/refs")).expect("directories");
    for (name, content) in
        [("HEAD", head), ("packed-refs", packed), ("refs/heads/main", loose), ("logs/refs/stash", packed)]
    {
        std::fs::write(dir.join(name), content).expect("a file");
    }
    let git = Dir::open(dir).expect("it was made");
    let refs = agentdir::refs_in(&git);
    for (name, _) in &refs.refs {
        assert!(name.starts_with("refs/") || !name.contains('/'), "{name:?}");
        assert!(
            !name.contains("..")
                && !name.contains('\0')
                && !name.split('/').any(|part| part.strip_suffix(".lock").is_some()),
            "{name:?}"
        );
    }
    if let agentdir::Head::Branch(name) = &refs.head {
        assert!(!name.contains("..") && !name.chars().any(char::is_control), "{name:?}");
    }
    let read =
        packed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#' && line[0] != b'^');
    let lines = read.count();
    // One of them may be that of the loose ref.
    assert!(refs.refs.len() <= lines + 1);
    assert!(lines == 0 || !refs.refs.is_empty() || !refs.bad.is_empty());
}

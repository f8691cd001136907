//! Repositories of this host: found, and refused by name when libgit2 cannot read them. A linked worktree is a source of its
//! own, with its own HEAD and uncommitted files; only its pool is that of the repository that it belongs to.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use anyhow::Context;

use crate::error::{Failure, Kind, Result};
use crate::git::source::{ACCEPTED, Source, address};

/// Returns the source at `path`, which was typed as `text`.
pub(super) fn source(path: &Path, text: &str, root: &Path) -> Result<Source> {
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let failure = Failure::new(Kind::NotFound, format!("no directory `{text}`"));
            return Err(failure.hint(ACCEPTED).into());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    if is_inside(&path, root) {
        return match tree_of_workspace(&path, root) {
            Some(tree) => Ok(Source::Workspace(tree)),
            None => Err(Failure::new(Kind::Refused, format!("`{text}` lies in the root and is no workspace"))
                .hint("name the tree of a workspace, or a repository outside the root")
                .into()),
        };
    }
    match repository(&path, root)? {
        Some(source) => Ok(source),
        None if is_closed(&path) => Err(Failure::new(Kind::Failed, format!("cannot read `{text}`: permission denied"))
            .hint("give yourself the permission to enter it")
            .into()),
        None => Err(Failure::new(Kind::NotFound, format!("`{text}` is no git repository"))
            .hint("name the top directory of a repository, or make one there with `git init`")
            .into()),
    }
}

/// Returns whether nobody can say what is in a directory.
fn is_closed(path: &Path) -> bool {
    path.join(".git").symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Returns the repository that `directory` is in.
pub(super) fn around(directory: &Path, root: &Path) -> Result<Option<Source>> {
    // The current directory may be gone.
    let Ok(directory) = directory.canonicalize() else { return Ok(None) };
    if is_inside(&directory, root) {
        return Ok(tree_of_workspace(&directory, root).map(Source::Workspace));
    }
    for ancestor in directory.ancestors() {
        if let Some(source) = repository(ancestor, root)? {
            return Ok(Some(source));
        }
    }
    Ok(None)
}

/// Returns the tree of the workspace whose tree, state or home `path` is or lies in.
pub(super) fn tree_of_workspace(path: &Path, root: &Path) -> Option<PathBuf> {
    let canonical = root.canonicalize();
    let root = canonical.as_deref().unwrap_or(root);
    let mut below = path.strip_prefix(root).ok()?.components();
    let (Some(Component::Normal(part)), Some(Component::Normal(user)), Some(Component::Normal(name))) =
        (below.next(), below.next(), below.next())
    else {
        return None;
    };
    ["workspaces", "state", "homes"]
        .iter()
        .any(|known| part == OsStr::new(known))
        .then(|| root.join("workspaces").join(user).join(name))
}

/// Returns the `file://` URL of an absolute path.
pub(super) fn encode_path(path: &Path) -> String {
    let mut url = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("a string takes all text");
        }
    }
    url
}

/// Returns the path that stands in a `file://` URL.
pub(super) fn decode_path(text: &str) -> Result<PathBuf> {
    let bytes = address::percent_decode_bytes(text);
    if !bytes.starts_with(b"/") || bytes.contains(&0) {
        let failure = Failure::new(Kind::Usage, format!("`file://{text}` names no directory of this host"));
        return Err(failure.hint("write `file:///path`").into());
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

fn is_inside(path: &Path, root: &Path) -> bool {
    root.canonicalize().is_ok_and(|root| path.starts_with(root))
}

/// Returns the path that stands for all working trees of the repository that `path` is one of: where it belongs when it is a
/// linked worktree, and that repository says so too; itself elsewhere. Nothing is opened as a repository.
pub(super) fn shared(path: &Path) -> PathBuf {
    shared_by(path).unwrap_or_else(|| path.to_path_buf())
}

fn shared_by(path: &Path) -> Option<PathBuf> {
    let inside = path.join(".git");
    if !inside.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let directory = git_directory(path).ok()??;
    let back = small(&directory.join("gitdir"))?;
    if directory.join(back).canonicalize().ok()? != inside.canonicalize().ok()? {
        return None;
    }
    let common = directory.join(small(&directory.join("commondir"))?).canonicalize().ok()?;
    let is_beside_its_tree = common.file_name() == Some(OsStr::new(".git"));
    Some(if is_beside_its_tree { common.parent()?.to_path_buf() } else { common })
}

/// Reads the path in a small file.
fn small(file: &Path) -> Option<PathBuf> {
    let metadata = file.symlink_metadata().ok()?;
    let text = (metadata.is_file() && metadata.len() < 64 * 1024).then(|| std::fs::read(file).ok())??;
    Some(PathBuf::from(OsStr::from_bytes(text.trim_ascii())))
}

/// Returns the repository at `path`: its working tree, or the bare one. What a workspace's `.git` lends is that workspace.
fn repository(path: &Path, root: &Path) -> Result<Option<Source>> {
    let Some(directory) = git_directory(path)? else { return Ok(None) };
    let common = common_directory(&directory)?;
    for place in [&directory, &common] {
        let place = place.canonicalize().with_context(|| format!("cannot read `{}`", place.display()))?;
        if is_inside(&place, root) {
            return match tree_of_workspace(&place, root) {
                Some(tree) => Ok(Some(Source::Workspace(tree))),
                None => {
                    Err(Failure::new(Kind::Refused, format!("the repository of `{}` lies in the root", path.display()))
                        .hint("name the tree of a workspace, or a repository outside the root")
                        .into())
                }
            };
        }
    }
    refuse_unreadable(&common, path)?;
    // Only this very directory is meant: no search upwards and no GIT_DIR of the environment.
    let opened = git2::Repository::open_ext(path, git2::RepositoryOpenFlags::NO_SEARCH, &[] as &[&OsStr]);
    let repository = match opened {
        Ok(repository) => repository,
        Err(error) if error.code() == git2::ErrorCode::Owner => {
            let failure = Failure::new(Kind::Refused, format!("`{}` belongs to another user", path.display()));
            let hint = format!("`git config --global --add safe.directory {}` trusts it", path.display());
            return Err(failure.hint(hint).into());
        }
        Err(error) if error.message().contains("unsupported") => {
            return Err(unsupported(path, error.message(), "convert it, or name the URL it comes from").into());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot open the repository `{}`", path.display())),
    };
    let found = repository.workdir().map_or(common, Path::to_path_buf);
    Ok(Some(Source::Local(found.canonicalize().with_context(|| format!("cannot read `{}`", found.display()))?)))
}

/// Returns the git directory of a working tree, of a linked worktree (`.git` is a file), or `path` itself when bare.
fn git_directory(path: &Path) -> Result<Option<PathBuf>> {
    let inside = path.join(".git");
    match std::fs::metadata(&inside) {
        Ok(metadata) if metadata.is_dir() => return Ok(is_git_directory(&inside).then_some(inside)),
        Ok(metadata) if metadata.is_file() && metadata.len() < 64 * 1024 => {
            let text = std::fs::read(&inside).with_context(|| format!("cannot read `{}`", inside.display()))?;
            let target = text.strip_prefix(b"gitdir:").map(<[u8]>::trim_ascii);
            let target = target.map(|target| path.join(OsStr::from_bytes(target)));
            return match target {
                Some(target) if target.is_dir() => Ok(Some(target)),
                _ => Err(Failure::new(Kind::NotFound, format!("`{}` points to no repository", inside.display()))
                    .hint("`git worktree repair` may mend it")
                    .into()),
            };
        }
        _ => {}
    }
    Ok(is_git_directory(path).then(|| path.to_path_buf()))
}

fn is_git_directory(path: &Path) -> bool {
    let common = common_directory(path).unwrap_or_else(|_| path.to_path_buf());
    path.join("HEAD").symlink_metadata().is_ok() && common.join("objects").is_dir() && common.join("refs").exists()
}

/// Returns the repository that a linked worktree's git directory shares; the directory itself elsewhere.
fn common_directory(directory: &Path) -> Result<PathBuf> {
    let file = directory.join("commondir");
    match std::fs::read(&file) {
        Ok(text) => Ok(directory.join(OsStr::from_bytes(text.trim_ascii()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(directory.to_path_buf()),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    }
}

/// Fails for what libgit2 cannot read, before anything is made.
fn refuse_unreadable(common: &Path, path: &Path) -> Result<()> {
    let file = common.join("config");
    if !file.is_file() {
        return Ok(());
    }
    let config = git2::Config::open(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let text = |key: &str| config.get_string(key).ok();
    if let Some(format) = text("extensions.objectformat").filter(|format| !format.eq_ignore_ascii_case("sha1")) {
        return Err(unsupported(path, &format!("{format} object names"), "use a repository with sha1").into());
    }
    if let Some(storage) = text("extensions.refstorage").filter(|storage| !storage.eq_ignore_ascii_case("files")) {
        let hint = "`git refs migrate --ref-format=files` converts it";
        return Err(unsupported(path, &format!("the ref storage {storage}"), hint).into());
    }
    if text("extensions.partialclone").is_some() || has_promisor_pack(common) {
        let hint = "name the URL it comes from, or a full clone of it";
        return Err(unsupported(path, "a partial clone, whose objects are not all here", hint).into());
    }
    Ok(())
}

fn has_promisor_pack(common: &Path) -> bool {
    std::fs::read_dir(common.join("objects/pack")).is_ok_and(|entries| {
        entries.flatten().any(|entry| Path::new(&entry.file_name()).extension() == Some(OsStr::new("promisor")))
    })
}

fn unsupported(path: &Path, what: &str, hint: &str) -> Failure {
    Failure::new(Kind::Unsupported, format!("cannot read the repository `{}`: {what}", path.display())).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self { dir: tempfile::Builder::new().prefix("source é ").tempdir().unwrap() }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().canonicalize().unwrap()
        }

        fn git(&self, args: &[&str]) {
            let done = crate::git::oracle::git()
                .args(["-c", "user.name=x", "-c", "user.email=x@y", "-C"])
                .arg(self.path())
                .args(args)
                .env_remove("GIT_DIR")
                .output()
                .unwrap();
            assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        }

        fn parse(&self, text: &str) -> Result<Source> {
            Source::parse(text, &self.path(), &self.path().join("root"))
        }
    }

    #[test]
    fn a_path_in_every_form_is_the_canonical_repository() {
        let place = Place::new();
        place.git(&["init", "-q", "a:b"]);
        std::os::unix::fs::symlink("a:b", place.path().join("link")).unwrap();
        let expected = Source::Local(place.path().join("a:b"));
        for text in ["a:b", "./a:b", "link", "a:b/.git", "a:b/../link/."] {
            assert_eq!(place.parse(text).unwrap(), expected, "{text}");
        }
        assert_eq!(place.parse(&expected.url()).unwrap(), expected);
        assert_eq!(Source::parse(".", &place.path().join("a:b"), Path::new("/nowhere")).unwrap(), expected);
        assert_eq!(expected.to_string(), place.path().join("a:b").to_str().unwrap());
    }

    #[test]
    fn bare_repositories_and_linked_worktrees_are_found() {
        let place = Place::new();
        place.git(&["init", "-q", "main"]);
        place.git(&["-C", "main", "commit", "-q", "--allow-empty", "-m", "x"]);
        place.git(&["-C", "main", "worktree", "add", "-q", "../linked"]);
        place.git(&["clone", "-q", "--bare", "main", "bare.git"]);
        place.git(&["-C", "bare.git", "worktree", "add", "-q", "../of-bare"]);
        std::fs::create_dir_all(place.path().join("linked/deep/down")).unwrap();
        let local = |name: &str| Source::Local(place.path().join(name));
        assert_eq!(place.parse("linked").unwrap(), local("linked"));
        assert_eq!(place.parse("bare.git").unwrap(), local("bare.git"));
        assert_eq!(place.parse("of-bare").unwrap(), local("of-bare"));
        for (linked, common) in [("linked", "main"), ("of-bare", "bare.git")] {
            let user = crate::store::name::UserId::parse("local").unwrap();
            assert_eq!(local(linked).pool_key(&user, None), local(common).pool_key(&user, None));
            // Only what the repository itself knows of belongs to it.
            let copy = place.path().join(format!("copy of {linked}"));
            std::fs::create_dir(&copy).unwrap();
            std::fs::copy(place.path().join(linked).join(".git"), copy.join(".git")).unwrap();
            assert_ne!(Source::Local(copy).pool_key(&user, None), local(common).pool_key(&user, None));
        }
        assert_eq!(local("bare.git").workspace_name().as_str(), "bare");
        let around = |name: &str| Source::around(&place.path().join(name), Path::new("/nowhere")).unwrap();
        assert_eq!(around("linked/deep/down"), Some(local("linked")));
        assert_eq!(around("main/.git/refs"), Some(local("main")));
        assert_eq!(around("bare.git/refs"), Some(local("bare.git")));
    }

    #[test]
    fn what_is_no_repository_is_not_found() {
        let place = Place::new();
        std::fs::create_dir(place.path().join("plain")).unwrap();
        std::fs::create_dir(place.path().join("broken")).unwrap();
        crate::confine::spawn::command("sh")
            .args(["-c", "echo 'gitdir: /nowhere/x' > broken/.git; echo > file"])
            .current_dir(place.path())
            .status()
            .unwrap();
        for text in ["plain", "missing", "broken", "file", "file/x", "file:///nowhere/at/all"] {
            let error = place.parse(text).unwrap_err();
            assert_eq!(Kind::of(&error), Kind::NotFound, "{text}: {error:#}");
        }
    }

    #[test]
    fn what_libgit2_cannot_read_is_refused_by_name() {
        let place = Place::new();
        place.git(&["init", "-q", "--object-format=sha256", "sha256"]);
        place.git(&["init", "-q", "reftable"]);
        place.git(&["-C", "reftable", "config", "core.repositoryFormatVersion", "1"]);
        place.git(&["-C", "reftable", "config", "extensions.refStorage", "reftable"]);
        place.git(&["init", "-q", "partial"]);
        place.git(&["-C", "partial", "config", "extensions.partialClone", "origin"]);
        for (text, word) in [("sha256", "sha256"), ("reftable", "reftable"), ("partial", "partial clone")] {
            let error = place.parse(text).unwrap_err();
            assert_eq!(Kind::of(&error), Kind::Unsupported, "{text}: {error:#}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_path_in_the_root_is_its_workspace() {
        let place = Place::new();
        let root = place.path().join("root");
        for name in ["workspaces/local/x/src", "state/local/x", "pools", "workspaces/local-evil"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::create_dir_all(place.path().join("root-evil/workspaces/local/x")).unwrap();
        let tree = Source::Workspace(root.join("workspaces/local/x"));
        for text in ["root/workspaces/local/x", "root/workspaces/local/x/src", "root/state/local/x"] {
            assert_eq!(place.parse(text).unwrap(), tree, "{text}");
        }
        assert_eq!(tree.workspace_name().as_str(), "x");
        assert_eq!(Kind::of(&place.parse("root/pools").unwrap_err()), Kind::Refused);
        assert_eq!(Kind::of(&place.parse("root-evil/workspaces/local/x").unwrap_err()), Kind::NotFound);
        assert_eq!(Source::around(&root.join("workspaces/local/x/src"), &root).unwrap(), Some(tree.clone()));
        assert_eq!(Source::around(&root.join("pools"), &root).unwrap(), None);
        place.git(&["init", "-q", "root/workspaces/local/x"]);
        place.git(&["-C", "root/workspaces/local/x", "commit", "-q", "--allow-empty", "-m", "x"]);
        place.git(&["-C", "root/workspaces/local/x", "worktree", "add", "-q", "../../../../linked"]);
        assert_eq!(place.parse("linked").unwrap(), tree, "a worktree of the agent's `.git`");
    }
}

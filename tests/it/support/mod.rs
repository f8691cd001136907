//! What every test uses: a root, a home and an environment of its own, and git as the oracle.

pub(crate) mod http;
pub(crate) mod oracle;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assert_cmd::output::OutputOkExt as _;
use tempfile::TempDir;

/// A root, a home and a place for projects, removed at the end.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::of(tempfile::Builder::new().prefix("stead test é ").tempdir().expect("temporary directory"))
    }

    /// Makes one in `directory`, with a plain path.
    pub(crate) fn within(directory: &Path) -> Self {
        let made = tempfile::Builder::new().prefix("stead-test-").tempdir_in(directory);
        Self::of(made.expect("temporary directory"))
    }

    fn of(dir: TempDir) -> Self {
        drop(oracle::git());
        let place = Self { dir };
        for name in ["home", "projects"] {
            std::fs::create_dir(place.path().join(name)).expect("directory");
        }
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Returns the tree of a workspace of the user `local`.
    pub(crate) fn tree(&self, name: &str) -> PathBuf {
        self.root().join("workspaces/local").join(name)
    }

    /// Returns `stead ARGS` in an environment of its own, started in `projects/`.
    pub(crate) fn stead(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("stead"));
        self.isolate(&mut command);
        command.env("STEAD_ROOT", self.root()).args(args).current_dir(self.path().join("projects"));
        command
    }

    /// Runs `stead ARGS`, which must succeed, and returns what it printed on stdout.
    pub(crate) fn ok(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        succeed(&mut self.stead(args))
    }

    /// Runs `stead --json ARGS` and returns the exit code and the object on stdout.
    pub(crate) fn json(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> (i32, serde_json::Value) {
        let output = self.stead(["--json"]).args(args).output().expect("stead starts");
        let object = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("not one JSON object: {error}\n{}", describe(&output)));
        (output.status.code().expect("an exit code"), object)
    }

    /// Runs git in `dir`, which must succeed, and returns what it printed.
    pub(crate) fn git(&self, dir: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        let mut command = oracle::git();
        self.isolate(&mut command);
        command.arg("-C").arg(dir).args(args);
        succeed(&mut command)
    }

    /// Runs git in `dir` with `input` on its stdin, which must succeed, and returns what it printed.
    pub(crate) fn git_in(&self, dir: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &str) -> String {
        let mut command = oracle::git();
        self.isolate(&mut command);
        command.arg("-C").arg(dir).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("git starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("git reads");
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "{command:?}\n{}", describe(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes a repository in `projects/NAME` with a few files and two commits on `main`.
    pub(crate) fn project(&self, name: &str) -> PathBuf {
        let dir = self.path().join("projects").join(name);
        std::fs::create_dir(&dir).expect("directory");
        self.git(&dir, ["init", "-q", "-b", "main"]);
        write(&dir, "README.md", "# project\n");
        self.git(&dir, ["add", "."]);
        self.git(&dir, ["commit", "-q", "-m", "first"]);
        write(&dir, "src/main.rs", "fn main() {}\n");
        write(&dir, "docs/guide.md", "one\ntwo\nthree\n");
        self.git(&dir, ["add", "."]);
        self.git(&dir, ["commit", "-q", "-m", "second"]);
        dir
    }

    /// Gives a command an environment of its own.
    pub(crate) fn isolate(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("PATH"))
            .env("HOME", self.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "A U Thor")
            .env("GIT_AUTHOR_EMAIL", "author@example.com")
            .env("GIT_COMMITTER_NAME", "C O Mitter")
            .env("GIT_COMMITTER_EMAIL", "committer@example.com")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
    }

    /// Runs `stead ARGS`, which must end with `code` and say `text` on stderr.
    pub(crate) fn fails(&self, args: &[&str], code: i32, text: &str) {
        let output = self.stead(args).output().expect("stead starts");
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{}", describe(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(text), "{args:?}: no `{text}` in\n{stderr}");
    }
}

/// Writes a file, making its directories.
pub(crate) fn write(dir: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    std::fs::write(path, content).expect("file");
}

/// Runs a command that must succeed and returns its stdout.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.ok().unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Place {
    /// Runs a command and returns its exit code and both streams, with the place's own path as `[PLACE]`.
    pub(crate) fn transcript(&self, command: &mut Command) -> String {
        let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        describe(&output).replace(self.path().to_str().expect("UTF-8"), "[PLACE]")
    }
}

/// Returns all three streams of an end: code, stdout, stderr.
pub(crate) fn describe(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

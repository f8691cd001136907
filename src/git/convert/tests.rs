//! git's own command is the oracle: what `clean` makes of a content must have the id that `git add` gives it.

#![expect(clippy::disallowed_methods, reason = "the oracle is a process")]

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use git2::Repository;

use super::{Attributes, Settings};
use crate::git::Oid;

fn git(dir: &Path, args: &[&str], input: &[u8]) -> String {
    let mut child = crate::git::oracle::git()
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("PATH"))
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@example.com")
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("git reads");
    let output = child.wait_with_output().expect("git ends");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

fn put(dir: &Path, path: &str, content: &[u8]) {
    let mut file = std::fs::File::create(dir.join(path)).expect("file");
    file.write_all(content).expect("content");
}

#[test]
fn what_is_cleaned_is_what_git_adds() {
    let dir = tempfile::tempdir().expect("directory");
    let dir = dir.path();
    git(dir, &["init", "-q"], b"");
    put(
        dir,
        ".gitattributes",
        b"* text=auto\n*.t text\n*.c text eol=crlf\n*.l text eol=lf\n*.id ident\n*.idt text ident\n*.bin binary\n\
          *.none -text\n*.old crlf\n*.inp crlf=input\n*.auc text=auto eol=crlf\n*.u16 text working-tree-encoding=UTF-16\n\
          *.u16le text working-tree-encoding=UTF-16LE\n*.lat working-tree-encoding=latin1\n*.off !text !eol\n",
    );
    let contents: [&[u8]; 12] = [
        b"",
        b"one\ntwo\n",
        b"one\r\ntwo\r\n",
        b"one\r\ntwo\n",
        b"one\rtwo\r\n",
        b"one\r\n\0\r\n",
        b"\x01\x02\x03\x04\r\n",
        b"$Id$ $Id: 0123 $\r\n$Id: a b $ $Id: \n $\n",
        b"$Id: unfinished\r\n",
        b"dos\r\n\x1a",
        b"\xff\xfeo\0\r\0\n\0\xe9\0\n\0",
        b"o\0n\0\r\0\n\0",
    ];
    let endings = ["t", "c", "l", "id", "idt", "bin", "none", "old", "inp", "auc", "u16le", "lat", "off", "plain"];
    let id = |content| git(dir, &["hash-object", "-w", "--no-filters", "--stdin"], content);
    // Some paths are committed with CRLF: git leaves those alone where it only guesses.
    let (unix, dos) = (id(b"was\n"), id(b"was\r\n"));
    let mut listing = String::new();
    for ending in endings {
        for number in 0..contents.len() {
            let id = if number == 2 { &dos } else { &unix };
            listing.extend(["100644 ", id, "\tf", &number.to_string(), ".", ending, "\n"]);
        }
    }
    git(dir, &["update-index", "--add", "--index-info"], listing.as_bytes());
    git(dir, &["add", ".gitattributes"], b"");
    git(dir, &["commit", "-q", "-m", "x"], b"");
    let repository = Repository::open(dir).expect("a repository");
    let tree = Oid::from_str(&git(dir, &["rev-parse", "HEAD^{tree}"], b"")).expect("an id");
    for (autocrlf, eol) in [("false", "native"), ("true", "native"), ("input", "native"), ("false", "crlf")] {
        git(dir, &["config", "core.autocrlf", autocrlf], b"");
        git(dir, &["config", "core.eol", eol], b"");
        let mut attributes = Attributes::of_tree(&repository, tree).expect("attributes");
        attributes.user = Settings::of(&repository.config().expect("a configuration").snapshot().expect("a snapshot"));
        // A byte order mark where none may be, and half a unit, git refuses to add.
        let refused = |ending: &str, content: &[u8]| {
            ending == "u16le" && (content.starts_with(b"\xff\xfe") || content.len() % 2 == 1)
        };
        let cases: Vec<(String, &[u8])> = endings
            .iter()
            .flat_map(|ending| contents.iter().enumerate().map(move |(number, content)| (*ending, number, *content)))
            .filter(|(ending, _, content)| !refused(ending, content))
            .map(|(ending, number, content)| (format!("f{number}.{ending}"), content))
            .collect();
        git(dir, &["read-tree", "HEAD"], b"");
        for (path, content) in &cases {
            put(dir, path, content);
        }
        git(dir, &["add", "-u"], b"");
        let added = git(dir, &["ls-files", "-s"], b"");
        for (path, content) in cases {
            let cleaned = attributes.clean(path.as_bytes(), content);
            let cleaned = cleaned.as_deref().unwrap_or(content);
            let id = Oid::hash_object(git2::ObjectType::Blob, cleaned).expect("an id");
            let line = format!("100644 {id} 0\t{path}");
            assert!(
                added.lines().any(|added| added == line),
                "{path} with {autocrlf} {eol}: {:?}",
                String::from_utf8_lossy(cleaned)
            );
        }
    }
}

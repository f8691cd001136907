//! Ignore rules and attributes against git's own answer, for thousands of files of rules in one call.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use crate::fuzzing::cases;
use crate::fuzzing::made::CASES;
use crate::git::convert::rules::{Rules, State};
use crate::git::ignore::Patterns;
use crate::git::oracle;

const NAMES: [&str; 10] = ["a", "b", "ab", "b.c", "a b", "x ", "A", "é", "[a]", "a\\"];

/// Returns a directory with a repository in it; in memory where there is one, for thousands of files.
fn repository() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let dir = dir.expect("a directory");
    assert!(oracle::git().args(["init", "-q"]).arg(dir.path()).status().expect("git").success());
    dir
}

/// Runs git with `input` on its stdin; it may end with 1, for nothing found.
fn git(dir: &Path, args: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut command = oracle::git();
    command.arg("-C").arg(dir).args(args).env("HOME", dir).env("GIT_CONFIG_NOSYSTEM", "1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("git");
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(&input).expect("git reads"));
    let output = child.wait_with_output().expect("git ends");
    writer.join().expect("written");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", output.status);
    output.stdout
}

fn put(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    std::fs::File::create(path).and_then(|mut file| file.write_all(content)).expect("a file");
}

/// A piece of a pattern.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => select(NAMES.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
        6 => select(vec!["*", "**", "?", "/", "/**/", "**/", "/**", "***", "\\"]).prop_map(|text| text.as_bytes().to_vec()),
        3 => select(vec!["[ab]", "[!a]", "[^b]", "[a-c]", "[]a]", "[[:alpha:]]", "[[:space:]]", "[[:bad:]]", "[[:a]", "[",
            "[a-", "[\\]]", "[--0]", "[b-a]", "]", "[!-a]", "[[:punct:]-z]"]).prop_map(|text| text.as_bytes().to_vec()),
        1 => select(vec![" ", "\t", "{", "}", "{a,b}", "!", "#", "\r", "\u{c}", "\u{b}"]).prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

fn pattern() -> impl Strategy<Value = Vec<u8>> {
    let front =
        prop_oneof![6 => Just(""), 2 => Just("!"), 2 => Just("/"), 1 => Just("#"), 1 => Just("\\!"), 1 => Just(" ")];
    let back = prop_oneof![8 => Just(""), 2 => Just("/"), 1 => Just(" "), 1 => Just("\\ "), 1 => Just("\\"), 1 => Just("\r"), 1 => Just("  ")];
    (front, vec(piece(), 0..5), back)
        .prop_map(|(front, pieces, back)| [front.as_bytes(), &pieces.concat(), back.as_bytes()].concat())
}

fn path() -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(NAMES.to_vec()), 1..4)
}

#[test]
fn what_is_ignored_is_what_git_ignores() {
    let case = (vec(pattern(), 0..5), vec(pattern(), 0..3), vec(path(), 4));
    let cases = cases(CASES as usize, &case);
    let dir = repository();
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for (number, (top, inner, paths)) in cases.iter().enumerate() {
        let (top, inner) = (top.join(&b'\n'), inner.join(&b'\n'));
        put(&dir.path().join(format!("{number}/.gitignore")), &top);
        put(&dir.path().join(format!("{number}/a/.gitignore")), &inner);
        let (top, inner) = (Patterns::parse(&top), Patterns::parse(&inner));
        for components in paths {
            // Only what is a directory may match a pattern with a slash at its end; half of the paths are files.
            let path = components.join("/");
            let directory =
                if components.len() > 2 { &path } else { path.rsplit_once('/').map_or("", |(above, _)| above) };
            std::fs::create_dir_all(dir.path().join(format!("{number}")).join(directory)).expect("directories");
            asked.push(format!("{number}/{path}"));
            expected.push((top.clone(), inner.clone(), path));
        }
    }
    let input = asked.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
    let answer = git(dir.path(), &["check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"], input);
    let fields: Vec<&[u8]> = answer.split(|byte| *byte == 0).collect();
    let mut wrong = Vec::new();
    for ((fields, (top, inner, path)), asked) in fields.chunks(4).zip(expected).zip(&asked) {
        let theirs = !fields[2].is_empty() && !fields[2].starts_with(b"!");
        let number = asked.split('/').next().expect("a number");
        assert_eq!(fields[3], asked.as_bytes());
        let ours = is_ignored(&dir.path().join(number), &top, &inner, &path);
        if ours != theirs {
            wrong.push(format!("{asked:?}: git says {theirs} by {:?}", String::from_utf8_lossy(fields[2])));
        }
    }
    let shown: Vec<String> = wrong
        .iter()
        .take(20)
        .map(|line| {
            let number: usize = line[1..].split('/').next().and_then(|number| number.parse().ok()).expect("a number");
            let text = |lines: &Vec<Vec<u8>>| String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
            format!("{line}\n   {:?} {:?}", text(&cases[number].0), text(&cases[number].1))
        })
        .collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), shown.join("\n"));
}

/// Looks at a path the way the walk does: from the top, and not into what is ignored.
fn is_ignored(dir: &Path, top: &Patterns, inner: &Patterns, path: &str) -> bool {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end]).any(|path| {
        let is_directory = dir.join(std::ffi::OsStr::from_bytes(path.as_bytes())).is_dir();
        let below = path.strip_prefix("a/");
        let verdict = below.and_then(|path| inner.verdict(path.as_bytes(), is_directory));
        verdict.or_else(|| top.verdict(path.as_bytes(), is_directory)).unwrap_or(false)
    })
}

const ATTRIBUTES: [&str; 6] = ["text", "crlf", "eol", "ident", "working-tree-encoding", "filter"];

fn attribute() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        8 => select(ATTRIBUTES.to_vec()),
        4 => select(vec!["binary", "mac", "other", "nested"]),
        1 => select(vec!["-text", "te xt", "té", "", "builtin_x", "a=b=c", "[attr]"]),
    ];
    let sign = prop_oneof![4 => Just(""), 2 => Just("-"), 2 => Just("!")];
    let value = prop_oneof![4 => Just(""), 1 => Just("=crlf"), 1 => Just("=auto"), 1 => Just("="), 1 => Just("=x=y")];
    (sign, name, value).prop_map(|(sign, name, value)| format!("{sign}{name}{value}").into_bytes())
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let quoted = pattern().prop_map(|pattern| {
        let name = String::from_utf8_lossy(&pattern).replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{name}\"").into_bytes()
    });
    let pattern = prop_oneof![
        8 => pattern(),
        2 => quoted,
        1 => select(vec!["\"a", "\"\\141\"", "\"\\x\"", "[attr]", "[attr]mine", "  a"]).prop_map(|text| text.as_bytes().to_vec()),
    ];
    let blank = select(vec![" ", "\t", "  ", "\r", "\u{c}"]);
    (pattern, vec((blank, attribute()), 0..4), select(vec!["", " ", "\r"])).prop_map(|(pattern, attributes, end)| {
        let attributes: Vec<u8> =
            attributes.into_iter().flat_map(|(blank, word)| [blank.as_bytes(), &word].concat()).collect();
        [&pattern, &attributes[..], end.as_bytes()].concat()
    })
}

#[test]
fn the_attributes_of_a_path_are_those_of_git() {
    const TOP: &[u8] = b"[attr]mac text eol=lf -ident\n[attr]nested mac filter=nested\n[attr]binary -text\n";
    let cases = cases(CASES as usize, &(vec(line(), 0..5), vec(line(), 0..3), vec(path(), 3)));
    let dir = repository();
    put(&dir.path().join(".gitattributes"), TOP);
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for (number, (top, inner, paths)) in cases.iter().enumerate() {
        let (top, inner) = (top.join(&b'\n'), inner.join(&b'\n'));
        put(&dir.path().join(format!("{number}/.gitattributes")), &top);
        put(&dir.path().join(format!("{number}/a/.gitattributes")), &inner);
        let mut rules = Rules::default();
        for (directory, content) in
            [(String::new(), TOP), (format!("{number}/"), &top), (format!("{number}/a/"), &inner)]
        {
            rules.add(Some(directory.as_bytes()), content);
        }
        for components in paths {
            let path = format!("{number}/{}", components.join("/"));
            asked.extend([path.as_bytes(), b"\0"].concat());
            let mut found = rules.of(path.as_bytes());
            let ours = ATTRIBUTES.map(|name| match found.remove(name) {
                None | Some(State::Unspecified) => "unspecified".to_owned(),
                Some(State::Set) => "set".to_owned(),
                Some(State::Unset) => "unset".to_owned(),
                Some(State::Value(value)) => value,
            });
            expected.push((number, path, ours));
        }
    }
    let answer = git(dir.path(), &[&["check-attr", "--stdin", "-z"], &ATTRIBUTES[..]].concat(), asked);
    let fields: Vec<String> =
        answer.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    let mut wrong = Vec::new();
    for (answers, (number, path, ours)) in fields.chunks(3 * ATTRIBUTES.len()).zip(expected) {
        let theirs: Vec<&String> = answers.chunks(3).map(|answer| &answer[2]).collect();
        assert_eq!(answers[0], path);
        if theirs != ours.iter().collect::<Vec<_>>() {
            let text = |lines: &[Vec<u8>]| String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
            let (top, inner) = (text(&cases[number].0), text(&cases[number].1));
            wrong.push(format!("{path:?}: git says {theirs:?}, not {ours:?}, by {top:?} {inner:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

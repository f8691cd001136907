//! Cases for what comes from agents and old disks: objects, refs, paths, records, output.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;
use proptest::sample::select;

use super::made::{CASES, cases, config};
use super::tests::{bytes, text};
use super::{disk, inputs};
use crate::git::import::properties;

const PATH: &[&str] = &[
    "a", "b", "file", "up", "top", "in", "link", "self", "x", "..", ".", "/", "//", "/../", "/./", "a/b/", "up/file",
    "top/etc", "new", "a/up/x", "moved",
];
const HEX: &[&str] = &[
    "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "4B825DC642CB6EB9A060E54BF8D69288FBEE4904",
    "0000000000000000000000000000000000000000",
    "4b825dc6",
    "^4b825dc642cb6eb9a060e54bf8d69288fbee4904",
];
const REFS: &[&str] = &[
    " ",
    "\n",
    "ref: ",
    "ref:",
    "refs/heads/",
    "refs/tags/",
    "main",
    "HEAD",
    "/",
    "..",
    "@{",
    "~",
    ".lock",
    "# pack-refs with: peeled\n",
    "refs/heads/main\n",
    "\r\n",
    "\t",
];
const RUN: &[&str] = &[
    "schema = 1\nid = \"20261128-070000-abcd\"\nstarted = \"2026-11-28T07:00:00Z\"\ncommand = [\"true\"]\nwall = \"none\"\n",
    "agent = \"claude\"\n",
    "timeout = 1\n",
    "terminal = true\n",
    "environment = [\"A\"]\n",
    "limits = []\n",
    "undoes = \"x\"\n",
    "later = nan\n",
    "[end]\nat = \"2026-11-28T07:00:01Z\"\noutcome = \"exited\"\ncode = 0\nduration = 1.5\ncpu_user = 0.0\ncpu_system = inf\npeak_memory = 1\n",
    "signal = 9\n",
    "[more]\na = 1\n",
    "=",
    "\n",
];
const JOURNAL: &[&str] = &[
    "kind = \"undo\"\nid = \"x\"\nthen = \"c\"\nnow = \"c\"\npaths = []\nspared = [\"a\"]\nkeep = true\nrecord = \"\"\n",
    "kind = \"apply\"\nid = \"x\"\ntarget = \"/p\"\nmoves = \"c\"\napplied = \"c\"\ndecided = false\n",
    "kind = \"apply\"\nid = \"x\"\ntarget = \"/p\"\nmoves = \"c\"\ndecided = true\n",
];
const CONFIG: &[&str] = &[
    "[exec]\n",
    "[gc]\n",
    "[limits]\n",
    "[agents.x]\n",
    "[users.\"a@b\".limits]\n",
    "[capture]\n",
    "timeout = \"5m\"\n",
    "timeout = 5\n",
    "max_age = \"7d\"\n",
    "memory = \"4G\"\n",
    "command = [\"x\"]\n",
    "net = \"off\"\n",
    "isolation = \"auto\"\n",
    "max_new = \"1G\"\n",
    "root = \"/x\"\n",
    "unknown = 1\n",
    "= 1\n",
    "\"\" = 1\n",
    "a.b.c = 1\n",
    "[[exec]]\n",
    "#",
    "'",
    "\"\"\"",
];

fn line(pieces: &'static [&'static str], longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        3 => select(HEX).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => bytes(4),
    ];
    vec(piece, 0..longest).prop_map(|pieces| pieces.concat())
}

/// Makes a directory, in memory where that can be had: tens of thousands of files come and go.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

fn deflated(content: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn no_path_leads_out_of_a_directory() {
    let dir = quick_dir();
    let piece = prop_oneof![8 => select(PATH).prop_map(|piece| piece.as_bytes().to_vec()), 2 => Just(b"/".to_vec()), 1 => bytes(3)];
    for path in cases(CASES as usize, &vec(piece, 0..7)) {
        disk::beneath(dir.path(), &path.concat());
    }
}

#[test]
fn refs_are_read_or_told() {
    let dir = quick_dir();
    for (head, packed, loose) in cases(CASES as usize, &(line(REFS, 4), line(REFS, 12), line(REFS, 4))) {
        disk::refs(dir.path(), &head, &packed, &loose);
    }
}

#[test]
fn a_damaged_pack_gives_right_objects_or_none() {
    let dir = quick_dir();
    for damage in cases(CASES as usize, &vec(any::<u8>(), 1..20)) {
        properties::pack(dir.path(), &damage);
    }
}

#[test]
fn a_loose_object_of_any_bytes_is_read_or_refused() {
    let dir = quick_dir();
    let header = select(vec!["blob ", "tree ", "commit ", "", "blob", "blob -"]);
    let size = select(vec!["0", "5", "99999999999999999999", "1048577", "18446744073709551615", ""]);
    let content = (header, size, select(vec!["\0", "", " "]), bytes(12), any::<u8>());
    for (header, size, end, content, cut) in cases(CASES as usize, &content) {
        let mut file = deflated(&[header.as_bytes(), size.as_bytes(), end.as_bytes(), &content].concat());
        file.truncate(usize::from(cut).max(1));
        properties::loose(dir.path(), &file);
    }
}

#[test]
fn runs_and_journals_are_read_back() {
    let starts: Vec<&str> = RUN[..1].iter().chain(JOURNAL).copied().collect();
    let mut read = [0; 2];
    for (start, rest) in cases(CASES as usize, &(select(starts), text(&RUN[1..], 5))) {
        for text in [format!("{start}{rest}"), rest] {
            for (count, is_read) in read.iter_mut().zip(inputs::run(&text)) {
                *count += usize::from(is_read);
            }
        }
    }
    assert!(read.iter().all(|count| *count > 200), "{read:?}");
}

#[test]
fn a_split_index_is_read_whole_or_not_at_all() {
    let word =
        (any::<bool>(), prop_oneof![9 => 0_u64..3, 1 => any::<u32>().prop_map(u64::from)], vec(any::<u64>(), 0..3));
    let few = prop_oneof![2 => Just(0), 3 => (0_u32..16).prop_map(|shift| 1 << shift), 1 => any::<u64>()];
    let word = (word, few).prop_map(|((is_set, run, literals), few)| {
        // Most bits name no entry, so that few are set.
        let literals: Vec<u64> = literals.into_iter().map(|literal| literal & few).collect();
        [vec![u64::from(is_set && run == 0) | run << 1 | (literals.len() as u64) << 33], literals].concat()
    });
    let bitmap = (vec(word, 0..3), prop_oneof![9 => Just(0_u32), 1 => any::<u32>()]).prop_map(|(words, wrong)| {
        let words = words.concat();
        let count = u32::try_from(words.len()).expect("few") ^ wrong;
        let words: Vec<u8> = words.into_iter().flat_map(u64::to_be_bytes).collect();
        [&[0; 4], &count.to_be_bytes()[..], &words, &[0; 4]].concat()
    });
    let end = prop_oneof![9 => Just(Vec::new()), 1 => bytes(4)];
    let mut read = 0;
    for (shared, own, nameless, one, other, end) in
        cases(CASES as usize, &(any::<u8>(), any::<u8>(), 0_u8..4, bitmap.clone(), bitmap, end))
    {
        read += usize::from(inputs::split_index(&[&[shared, own, nameless], &one[..], &other, &end].concat()));
    }
    assert!(read > CASES as usize / 20, "{read}");
}

#[test]
fn what_was_seen_is_read_to_its_end() {
    let byte = prop_oneof![any::<u8>(), Just(0), select(vec![1, 2, 8])];
    let directory = (select(vec!["", "a", "a/b"]), vec(byte, 0..90), prop_oneof![9 => Just(0_u32), 1 => any::<u32>()]);
    let mut read = 0;
    for directories in cases(CASES as usize, &vec(directory, 0..4)) {
        // When, device, commit and root; then path, rules, tree and entries of each directory.
        let mut rest = vec![0; 8 + 8 + 20 + 20];
        for (path, body, wrong) in directories {
            let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short");
            rest.extend(length(path.as_bytes()).to_le_bytes());
            rest.extend(path.as_bytes());
            rest.extend([0; 8 + 20]);
            rest.extend((length(&body) ^ wrong).to_le_bytes());
            rest.extend(body);
        }
        read += usize::from(inputs::seen(&rest));
    }
    assert!(read > CASES as usize / 2, "{read}");
}

#[test]
fn what_import_takes_is_what_libgit2_takes() {
    let dir = quick_dir();
    let repository = properties::repository(dir.path());
    let id = || select(HEX).prop_map(str::to_owned);
    let commit = (
        prop_oneof![9 => Just("tree "), 1 => Just("tree")],
        id(),
        vec((prop_oneof![9 => Just("\nparent "), 1 => Just("\n parent ")], id()), 0..3),
        select(vec![
            "\nauthor A <a@b> 1 +0000",
            "\nauthor A",
            "\nauthor ",
            "\nauthor",
            "\nauthor A <a@b> x +99999",
            "",
        ]),
        select(vec!["\ncommitter A <a@b> 1 +0000", "\ncommitter A", "\ncommitter <", ""]),
        select(vec!["\n\nmessage\n", "\n", "", "\nencoding x\n\nm", "\ngpgsig -----\n more\n\nm"]),
    );
    for (start, tree, parents, author, committer, end) in cases(CASES as usize, &commit) {
        let parents: String = parents.into_iter().map(|(key, id)| [key, &id].concat()).collect();
        let content = format!("{start}{tree}{parents}{author}{committer}{end}");
        properties::structure(&repository, "commit", content.as_bytes());
    }
    let mode = select(vec![
        "100644", "40000", "040000", "120000", "160000", "100755", "100664", "0", "777777", "-1", "+100644", " 100644",
        "",
    ]);
    let entry = (mode, select(vec![" ", "", "  "]), bytes(6), select(vec!["\0", ""]), vec(any::<u8>(), 18..21));
    for entries in cases(CASES as usize, &vec(entry, 0..4)) {
        let entries = entries.iter().map(|(mode, space, name, end, id)| {
            let id = if id.len() == 18 { [&id[..], &[0, 0]].concat() } else { id.clone() };
            [mode.as_bytes(), space.as_bytes(), name, end.as_bytes(), &id].concat()
        });
        properties::structure(&repository, "tree", &entries.collect::<Vec<_>>().concat());
    }
    let tag = (
        id(),
        select(vec!["\ntype commit", "\ntype blob", "\ntype other", "\ntype ", ""]),
        select(vec!["\ntag x", "\ntag ", ""]),
        select(vec!["\ntagger A <a@b> 1 +0000", ""]),
        select(vec!["\n\nmessage", "\n", ""]),
    );
    for (id, kind, name, tagger, end) in cases(CASES as usize, &tag) {
        properties::structure(&repository, "tag", format!("object {id}{kind}{name}{tagger}{end}").as_bytes());
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_delta_makes_what_it_says(base in vec(any::<u8>(), 0..40), size in 0_u8..80, delta in vec(any::<u8>(), 0..30)) {
        let length = u8::try_from(base.len()).expect("short");
        properties::delta(&base, &[&[length, size], &delta[..]].concat());
    }

    #[test]
    fn configurations_are_taken_or_refused_with_a_place(text in text(CONFIG, 6)) {
        inputs::config(&text);
    }

    #[test]
    fn a_pair_stays_in_the_tree(text in text(&[":", "/", "..", ".", ".git", ".GIT", "git~1", "a", "./", "../", ".g\u{200c}it"], 7)) {
        inputs::pair(&text);
    }

    #[test]
    fn a_line_for_programs_is_read_back(text in text(&["\t", "\n", "\"", "\\", " ", "-", "/p", "\u{85}"], 6)) {
        if !text.is_empty() {
            inputs::porcelain(&text);
        }
    }

    #[test]
    fn no_value_is_shown_however_it_is_cut(
        value in vec(select(b"1234+/%\"\\= \n\xff".to_vec()), 0..12),
        chunks in vec((any::<bool>(), vec(select(b"1234+/%\"\\= \n\xff".to_vec()), 0..9)), 0..6),
        cut in 1_usize..9,
    ) {
        let text: Vec<u8> = chunks.iter().flat_map(|(is_value, other)| if *is_value { value.clone() } else { other.clone() }).collect();
        inputs::redaction(&value, &text.chunks(cut).collect::<Vec<_>>());
    }
}

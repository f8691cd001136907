use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;
use proptest::sample::select;

use super::inputs;
use super::made::config;

/// Bytes, of which most are ones that mean something somewhere.
pub(super) fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => any::<u8>(), 4 => select(b"a.-_/\\\"@: \n\t\0%?*[]~".to_vec()), 2 => Just(b'x')];
    vec(byte, 0..longest)
}

pub(super) fn text(pieces: &'static [&'static str], longest: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => select(pieces).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        2 => select(vec!["a", "B", ".", "-", "_", "/", "é", "\u{202e}", "\0", "\n"]).prop_map(str::to_owned),
    ];
    vec(piece, 0..longest).prop_map(|pieces| pieces.concat())
}

const SOURCE: &[&str] = &[
    "https://",
    "http://",
    "ssh://",
    "git@",
    "user:secret@",
    "example.com",
    ":",
    "22",
    "/",
    "acme",
    "api.git",
    "file://",
    "ext::",
    "sh -c",
    "%41",
    "%00",
    "[::1]",
    "?",
    "#",
    "@",
    "-",
    "~",
    "..",
];
const NUMBER: &[&str] =
    &["1", "9", "000", ".", "s", "m", "h", "d", "w", "K", "G", "T", "iB", "B", "e", "-", "99999999999", "inf"];
const RECORD: &[&str] = &[
    "schema = 1\nname = \"x\"\nuser = \"u\"\nstate = \"ready\"\ncreated = \"2026-01-21T14:02:00Z\"\nlast_used = \"2026-01-21T14:02:00Z\"\n",
    "ttl = 1\n",
    "ttl = -1\n",
    "pinned = true\n",
    "ports = [1, 2]\n",
    "ports = [70000]\n",
    "future = 1.5\n",
    "deep = {a = [1, {b = 2}]}\n",
    "[env]\nA = \"1\"\n",
    "[later.table]\nx = nan\n",
    "[[deliveries]]\ntarget = \"/p\"\ncommit = \"c\"\nat = \"2026-11-21T14:02:00Z\"\n",
    "brought = [\"a/b\"]\n",
    "when = 2026-01-01\n",
    "[[more]]\n",
    "=",
    "\"",
    "[",
    "\n",
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn names_are_plain_components(text in text(&["x.lock", "..", "@", "user@example.com", "CON", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"], 8)) {
        inputs::name(&text);
    }

    #[test]
    fn sources_keep_no_password_and_are_read_back(text in text(SOURCE, 9)) {
        inputs::source(&text);
    }

    #[test]
    fn what_is_quoted_is_read_back(name in bytes(24)) {
        inputs::quoting(&name);
    }

    #[test]
    fn what_is_quoted_is_read_back_in_any_script(name in text(&["\u{9b}", "\u{200d}", "\u{e0041}", "\"", "\\"], 8)) {
        inputs::quoting(name.as_bytes());
    }

    #[test]
    fn numbers_with_units_fit(text in text(NUMBER, 6)) {
        inputs::unit(&text);
    }

    #[test]
    fn records_are_read_back_with_what_is_unknown(start in select(&RECORD[..1]), rest in text(&RECORD[1..], 5)) {
        inputs::record(&format!("{start}{rest}"));
        inputs::record(&rest);
    }

    #[test]
    fn metas_are_read_back(rest in vec((select(vec!["mode", "gitmode", "empty", "large", "largemode", "nested", "plain", "plaindir", "dirmode", "special", "later"]), bytes(6),
        select(vec!["", "644", "9", "x", "0123456789012345678901234567890123456789"])), 0..4)) {
        let mut meta = b"stead meta 1\0".to_vec();
        for (key, path, value) in rest {
            meta.extend([key.as_bytes(), b" ", &path, b"\0", value.as_bytes(), b"\0"].concat());
        }
        inputs::meta(&meta);
    }

    #[test]
    fn an_index_is_no_longer_than_its_bytes(version in 1_u8..6, count in any::<u8>(), rest in vec(any::<u8>(), 0..300)) {
        inputs::index(&[b"DIRC\0\0\0".as_slice(), &[version, 0, 0, 0, count], &rest].concat());
    }

    #[test]
    fn rules_of_any_bytes_are_rules(bytes in bytes(60)) {
        inputs::rules(&bytes);
    }
}

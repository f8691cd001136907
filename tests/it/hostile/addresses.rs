//! URLs that would run something, or carry what is nobody's business.

use crate::support::{Place, describe, write};

#[test]
fn addresses_that_run_something_are_refused_before_anything_is_made() {
    let place = Place::new();
    for url in [
        "ext::sh -c 'touch sprung'",
        "fd::7",
        "-u/bin/evil",
        "--upload-pack=touch sprung",
        "ssh://-oProxyCommand=touch%20sprung/x",
        "ssh://user@-oProxyCommand=x/x",
        "-oProxyCommand=x:y",
        "git://example.com/x",
        "ftp://example.com/x",
        "https://exa\nmple.com/x",
        "file:///a\u{1b}[31m",
        "https://example.com/\u{7f}x",
    ] {
        for args in [vec!["clone", "--", url, "x"], vec!["create", "x", &format!("--from={url}")]] {
            let output = place.stead(&args).output().expect("stead starts");
            assert!(matches!(output.status.code(), Some(2 | 3)), "{args:?}: {}", describe(&output));
            assert!(!place.tree("x").exists(), "{url}");
            assert!(!String::from_utf8_lossy(&output.stderr).contains('\u{1b}'), "{url}: {}", describe(&output));
        }
    }
    assert!(!place.path().join("projects/sprung").exists());
}

#[test]
fn a_password_in_an_address_is_neither_stored_nor_printed() {
    let place = Place::new();
    let output = place.stead(["clone", "http://user:hunter2@127.0.0.1:9/x", "x"]).output().expect("stead starts");
    assert_ne!(output.status.code(), Some(0));
    assert!(!describe(&output).contains("hunter2"), "{}", describe(&output));
    let (_, json) = place.json(["clone", "http://user:hunter2@127.0.0.1:9/x", "x"]);
    assert!(!json.to_string().contains("hunter2"), "{json}");
    let mut waiting = vec![place.root()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                waiting.push(entry.path());
            } else {
                let content = std::fs::read(entry.path()).expect("a file");
                let text = String::from_utf8_lossy(&content).into_owned();
                assert!(!text.contains("hunter2"), "{}", entry.path().display());
            }
        }
    }
}

#[test]
fn submodules_are_never_initialised() {
    let place = Place::new();
    let project = place.project("api");
    let modules = "[submodule \"../../evil\"]\n\tpath = docs/../../evil\n\turl = -u./evil\n\tupdate = !touch sprung\n\
                   [submodule \"b\"]\n\tpath = b\n\turl = ext::touch sprung\n";
    write(&project, ".gitmodules", modules);
    let head = place.git(&project, ["rev-parse", "HEAD"]);
    place.git(&project, ["update-index", "--add", "--cacheinfo", &format!("160000,{},b", head.trim())]);
    place.git(&project, ["add", ".gitmodules"]);
    place.git(&project, ["commit", "-q", "-m", "modules"]);
    place.ok(["create", "x", "--from", "api"]);
    place.ok(["status", "x"]);
    place.tamed("true");
    place.ok(["sync", "x"]);
    let tree = place.tree("x");
    assert!(!tree.join(".git/modules").exists() && !tree.join("sprung").exists());
    let config = std::fs::read_to_string(tree.join(".git/config")).expect("a configuration");
    assert!(!config.contains("evil") && !config.contains("sprung"), "{config}");
}

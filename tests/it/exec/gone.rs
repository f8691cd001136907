//! What a run takes away is told, also where no file that is recorded changes.

use serde_json::{Value, json};

use super::text;
use crate::support::{Place, write};

/// A workspace of a project, in which `first` has run.
fn place(first: &str) -> Place {
    let place = Place::new();
    let project = place.project("p");
    place.ok(["create", "x", "--from", project.to_str().unwrap()]);
    place.run_sh(&[], first);
    place
}

impl Place {
    /// Runs a script, and returns what is said of it and what is in JSON of the same by `diff`.
    fn takes(&self, script: &str) -> (Vec<String>, Value) {
        let said = text(&self.run_sh(&[], script).stderr);
        let diff = self.json(["diff", "x", "--run", "last"]).1;
        (said.lines().map(str::to_owned).collect(), diff)
    }
}

const NEXT: &str = "Next: `stead diff x`, `stead sync x --to`";

#[test]
fn refs_and_stash_entries_that_are_gone_are_named() {
    let place = place(
        "git checkout -q -b work; echo w > w; git add w; git commit -q -m w; git tag t; git checkout -q -; \
         echo more >> README.md; git stash -q; git branch mine",
    );
    let tree = place.tree("x");
    let id = |name: &str| place.git(&tree, ["rev-parse", name]).trim().to_owned();
    let (work, stash, mine) = (id("work"), id("stash"), id("mine"));
    let (said, diff) = place.takes("git branch -q -D work; git tag -d t > /dev/null; git stash clear");
    let gone = |name: &str, id: &str| format!("{name}: {} -> nothing", &id[..7]);
    let expected = [gone("refs/heads/work", &work), gone("refs/tags/t", &work), gone("stash@{0}", &stash), NEXT.into()];
    assert_eq!(said, expected);
    let object = |name: &str, id: &str| json!({ "name": name, "old": id, "new": null });
    assert_eq!(
        diff["refs_gone"],
        json!([object("refs/heads/work", &work), object("refs/tags/t", &work), object("stash@{0}", &stash)])
    );
    assert!(place.ok(["diff", "x", "--run", "last"]).starts_with(&expected[..3].join("\n")));
    assert!(place.ok(["log", "x"]).contains("0 (3 gone)"));
    assert_eq!(place.json(["log", "x"]).1["runs"][0]["gone"], 3);
    let run = place.json(["log", "x"]).1["runs"][0]["id"].as_str().unwrap().to_owned();
    let record = std::fs::read(place.root().join("state/local/x/runs").join(run).join("changes.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&record).unwrap()["refs_gone"], diff["refs_gone"]);

    let (said, _) = place.takes("git checkout -q -b o; git branch -q -D mine");
    assert_eq!(said, [gone("refs/heads/mine", &mine), NEXT.into()]);
}

#[test]
fn a_ref_that_leaves_its_commit_is_named_and_one_that_goes_on_is_not() {
    let place = place("git checkout -q -b on; git branch other");
    let (said, _) = place.takes("echo a > a; git add a; git commit -q -m a; git branch -f other; git pack-refs --all");
    assert_eq!(said, ["create a (+1 -0)", "1 new commit", NEXT]);
    let id = || place.git(&place.tree("x"), ["rev-parse", "on"])[..7].to_owned();
    let old = id();
    let (said, _) = place.takes("git commit -q --amend -m b");
    assert_eq!(said, [format!("refs/heads/on: {old} -> {}", id()), "1 new commit".into(), NEXT.into()]);
    // What was made on a detached HEAD is lost with it, unless a branch has got it.
    let (said, _) = place.takes("git checkout -q --detach; git commit -q --allow-empty -m c");
    assert_eq!(said, ["1 new commit", NEXT]);
    let head = place.git(&place.tree("x"), ["rev-parse", "HEAD"])[..7].to_owned();
    let (said, _) = place.takes("git checkout -q on");
    assert_eq!(said, [format!("HEAD: {head} -> {}", id()), NEXT.into()]);
    let (said, _) = place.takes("git checkout -q --detach; git commit -q --allow-empty -m d; git branch keep");
    assert_eq!(said, ["1 new commit", NEXT]);
    let (said, diff) = place.takes("git checkout -q on");
    assert_eq!((said, &diff["refs_gone"]), (vec!["Nothing changed.".to_owned()], &json!([])));
}

#[test]
fn nested_repositories_and_newly_ignored_files_that_are_gone_are_named() {
    let place = place(
        "git init -q k; cd k; echo z > z; git add z; git commit -q -m z; cd ..; git init -q m; echo m > m/m; \
         echo '*.md' >> .gitignore; echo n > NOTES.md; mkdir d; echo n > d/a.md",
    );
    let (said, diff) = place.takes("rm -rf k; mv m n");
    assert_eq!(said, ["nested repository n", "gone nested repository k", NEXT]);
    assert_eq!(diff["gone"], json!([{ "path": "k", "was": "nested" }]));
    let (said, diff) = place.takes("rm NOTES.md");
    assert_eq!(said, ["gone newly ignored NOTES.md", NEXT]);
    assert_eq!(diff["gone"], json!([{ "path": "NOTES.md", "was": "newly_ignored" }]));
    assert!(place.ok(["log", "x"]).contains("0 (1 gone)"));
    // It is still there under another rule, and then recorded.
    let (_, diff) = place.takes("echo 'd/' > .gitignore");
    assert_eq!(diff["gone"], json!([]));
    let (_, diff) = place.takes("rm .gitignore");
    assert_eq!((&diff["gone"], &diff["changes"][1]["path"]), (&json!([]), &"d/a.md".into()));
}

#[test]
fn a_file_over_the_cap_that_goes_or_gets_another_mode_is_a_change() {
    let place = Place::new();
    write(&place.home(), ".config/stead/config.toml", "[capture]\nmax_file = '1K'\n");
    place.run_sh(&[], "for name in big mode small move; do head -c 5000 /dev/zero > $name; chmod 644 $name; done");
    let (said, diff) = place.takes("rm big; chmod 755 mode; echo x > small; mkdir d; mv move d");
    let expected = [
        "delete big (binary)",
        "create d/move (binary)",
        "update mode (mode 644 -> mode 755)",
        "delete move (binary)",
        "update small (binary)",
    ];
    assert_eq!(said[..5], expected, "{said:?}");
    let change = |at: usize| &diff["changes"][at];
    assert_eq!((&change(0)["old_mode"], &change(0)["mode"]), (&"100644".into(), &Value::Null));
    assert_eq!((&change(2)["old_mode"], &change(2)["mode"]), (&"100644".into(), &"100755".into()));
    assert_eq!(place.json(["log", "x"]).1["runs"][0]["changes"], 5);
    let (said, _) = place.takes("true");
    assert_eq!(said, ["Nothing changed."]);
}

//! The mutants of `tests/mutants.sh`: none may rot, since the whole run of them is not part of each check.

use std::path::Path;

use crate::support::{Place, oracle};

#[test]
fn every_mutant_applies_and_names_a_test_that_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = Place::new();
    let code: String =
        ["src", "tests/it"].iter().flat_map(|dir| crate::tidy::files(dir)).map(|(_, text)| text).collect();
    let mut complaints = Vec::new();
    for entry in top.join("tests/mutants").read_dir().expect("mutants") {
        let path = entry.expect("entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let words: Vec<&str> = text.lines().next().unwrap_or_default().split(' ').collect();
        match words.as_slice() {
            ["test:", "it" | "lib", filter] => {
                let test = filter.rsplit("::").next().expect("a name");
                if !code.contains(&format!("fn {test}")) && !code.contains(&format!("mod {test}")) {
                    complaints.push(format!("{name}: there is no test `{filter}`"));
                }
            }
            _ => complaints.push(format!("{name}: the first line is not `test: it FILTER` or `test: lib FILTER`")),
        }
        let mut git = oracle::git();
        place.isolate(&mut git);
        let output = git.current_dir(top).args(["apply", "--check"]).arg(&path).output().expect("git starts");
        if !output.status.success() {
            complaints.push(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

//! What nobody has read, before a run and after it, and is another one all the same.

use super::stubborn::as_ordinary;
use crate::support::{Place, describe, write};

#[test]
fn a_file_over_the_cap_that_is_written_to_is_told_and_not_called_undone() {
    let place = Place::new();
    write(&place.home(), ".config/stead/config.toml", "[capture]\nmax_file = '1K'\n");
    place.ok(["create", "x", "--empty"]);
    let run = |script: &str| {
        let run = ["exec", "x", "--isolation", "none", "--", "sh", "-ec", script];
        let output = place.stead(run).output().expect("stead starts");
        assert!(output.status.success(), "{}", describe(&output));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    run("head -c 5000 /dev/zero > big; cp -p big times");
    let written = "printf x | dd of=big bs=1 seek=9 conv=notrunc status=none";
    let told = "update big (binary)\nnot recorded big (too large: 5.0 kB)\n";
    for script in [
        written.to_owned(),
        // The times it had.
        format!("{written}; touch -r times big"),
        "cp big other; mv other big".to_owned(),
    ] {
        let said = run(&script);
        assert!(said.starts_with(told), "{script}: {said}");
        let diff = place.json(["diff", "x", "--run", "last"]).1;
        assert_eq!((&diff["changes"][0]["path"], diff["changes"].as_array().map(Vec::len)), (&"big".into(), Some(1)));
        let output = place.stead(["undo", "x"]).output().expect("stead starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let left = "Left as it is: big (it was not recorded before the run (5000 bytes))\n";
        assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
        assert!(said.starts_with("Nothing of `x` can be put back") && said.contains(left), "{said}");
    }
    assert!(run("chmod 600 big").starts_with("update big (mode 644 -> mode 600)\nNext: "));
    assert_eq!(run("cat big"), "Nothing changed.\n");
}

#[test]
fn what_its_owner_may_not_read_is_told_when_it_changes() {
    let place = Place::new();
    let run = |script: &str| {
        let output = as_ordinary(&place, &["exec", "x", "--isolation", "none", "--", "sh", "-ec", script]);
        assert!(output.status.success(), "{}", describe(&output));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert!(as_ordinary(&place, &["create", "x", "--empty"]).status.success());
    run("echo one > file; mkdir dir; echo two > dir/in; chmod 000 file dir");
    assert_eq!(run("true"), "Nothing changed.\n");
    for (script, path) in [
        ("chmod 600 file; echo more >> file; chmod 000 file", "file"),
        ("chmod 700 dir; echo more >> dir/in; chmod 000 dir", "dir"),
        ("rm -f file; mkdir file; chmod 000 file", "file"),
    ] {
        let said = run(script);
        let told = format!("update {path}\nnot recorded {path} (permission denied)\n");
        assert!(said.starts_with(&told), "{script}: {said}");
    }
    // Told once, by its permission bits, and put back with these alone.
    let mode = "update dir/ (mode 0 -> mode 100)\nNext: ";
    assert!(run("chmod 100 dir").starts_with(mode), "{}", run("true"));
    let output = as_ordinary(&place, &["undo", "x"]);
    assert!(output.status.success(), "{}", describe(&output));
    assert!(as_ordinary(&place, &["rm", "x", "--force"]).status.success());
}

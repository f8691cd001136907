//! What makes git run a command makes stead run none, and is taken out where it was looked for.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Place, describe, write};

/// A program that leaves a trace, and everything in `.git` that would have git start it.
struct Trap {
    program: PathBuf,
    trace: PathBuf,
}

impl Trap {
    fn new(place: &Place) -> Self {
        let trap = Self { program: place.home().join("trap"), trace: place.home().join("sprung") };
        write(&place.home(), "trap", format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", trap.trace.display()));
        std::fs::set_permissions(&trap.program, PermissionsExt::from_mode(0o755)).expect("a program");
        trap
    }

    fn set(&self, tree: &Path) {
        let git = tree.join(".git");
        let program = self.program.display();
        let mut config = std::fs::read_to_string(git.join("config")).expect("a configuration");
        if config.contains("trap") {
            return;
        }
        for (section, keys) in [
            ("core", "fsmonitor sshCommand editor pager askPass gitProxy alternateRefsCommand"),
            ("credential", "helper"),
            ("diff", "external"),
            ("diff \"trap\"", "command textconv"),
            ("filter \"trap\"", "clean smudge process"),
            ("merge \"trap\"", "driver"),
            ("gpg", "program"),
            ("sequence", "editor"),
            ("uploadpack", "packObjectsHook"),
            ("remote \"origin\"", "uploadpack receivepack"),
            ("trailer \"trap\"", "command"),
        ] {
            writeln!(config, "[{section}]").expect("text");
            for key in keys.split(' ') {
                writeln!(config, "\t{key} = \"'{program}'\"").expect("text");
            }
        }
        write!(config, "[commit]\n\tgpgSign = true\n[alias]\n\tstatus = \"!'{program}'\"\n").expect("text");
        write!(config, "[include]\n\tpath = {}\n", git.join("more").display()).expect("text");
        write(&git, "more", format!("[core]\n\thooksPath = {}\n", git.join("hooks").display()));
        write(&git, "config", config);
        for hook in
            ["pre-commit", "post-checkout", "post-merge", "pre-push", "reference-transaction", "post-index-change"]
        {
            std::fs::create_dir_all(git.join("hooks")).expect("hooks");
            std::fs::copy(&self.program, git.join("hooks").join(hook)).expect("a hook");
        }
        write(&git, "info/attributes", "* filter=trap diff=trap merge=trap\n");
        write(tree, ".gitattributes", "* filter=trap diff=trap merge=trap\n");
    }

    fn sprung(&self) -> String {
        std::fs::read_to_string(&self.trace).unwrap_or_default()
    }
}

#[test]
fn nothing_in_a_git_directory_is_run_by_any_command() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let trap = Trap::new(&place);
    let to = project.to_str().expect("text");
    let target = place.path().join("folder");
    std::fs::create_dir(&target).expect("a folder");
    for args in [
        vec!["status", "x"],
        vec!["status"],
        vec!["diff", "x"],
        vec!["diff", "x", "--patch"],
        vec!["diff", "x", "--dirty", "--stat"],
        vec!["exec", "x", "--isolation", "none", "--keep-git-config", "--", "true"],
        vec!["exec", "x", "--isolation", "none", "--", "true"],
        vec!["sync", "x"],
        vec!["sync", "x", "--rebase"],
        vec!["sync", "x", "--from", to],
        vec!["sync", "x", "--to", to, "--allow-exec"],
        vec!["sync", "x", "--to", target.to_str().expect("text"), "--apply", "--allow-exec"],
        vec!["gc", "--all", "-n"],
        vec!["gc", "--all"],
        vec!["doctor"],
        vec!["log", "x"],
        vec!["path", "x"],
        vec!["create", "y", "--from", tree.to_str().expect("text")],
        vec!["rm", "-f", "x"],
        vec!["restore", "x"],
    ] {
        if tree.exists() {
            trap.set(&tree);
            write(&tree, "README.md", format!("{args:?}\n"));
        }
        let output = place.stead(&args).output().expect("stead starts");
        assert!(matches!(output.status.code(), Some(0 | 5 | 6 | 7)), "{args:?}: {}", describe(&output));
        assert_eq!(trap.sprung(), "", "{args:?}");
    }
    // The traps are real: git springs them.
    trap.set(&tree);
    let mut git = std::process::Command::new("git");
    place.isolate(&mut git);
    git.arg("-C").arg(&tree).arg("status").output().expect("git starts");
    assert!(trap.sprung().contains("trap"), "{}", trap.sprung());
}

#[test]
fn credentials_are_asked_for_with_the_users_configuration_only() {
    let place = Place::new();
    let server = crate::http::serve(&place, crate::http::login());
    write(&place.home(), ".netrc", "machine 127.0.0.1 login me password \"pass word\"\n");
    place.ok(["clone", &server.url("api"), "x"]);
    std::fs::remove_file(place.home().join(".netrc")).expect("a file");
    let tree = place.tree("x");
    let trap = Trap::new(&place);
    trap.set(&tree);
    let program = trap.program.display();
    let config = format!("[credential]\n\thelper = \n\thelper = \"!'{program}'\"\n");
    write(&tree, ".git/config", std::fs::read_to_string(tree.join(".git/config")).expect("a configuration") + &config);
    for args in
        [vec!["sync", "x"], vec!["sync", "x", "--push", "--allow-exec"], vec!["clone", "--", &server.url("api"), "y"]]
    {
        let output = place.stead(&args).current_dir(&tree).output().expect("stead starts");
        assert!(String::from_utf8_lossy(&output.stderr).contains("asks for credentials"), "{}", describe(&output));
        assert_eq!(trap.sprung(), "", "{args:?}");
    }
    // The trap is real: git springs it.
    let mut git = std::process::Command::new("git");
    place.isolate(&mut git);
    git.arg("-C")
        .arg(&tree)
        .args(["-c", "core.fsmonitor=", "ls-remote", &server.url("api")])
        .output()
        .expect("git starts");
    assert!(trap.sprung().contains("trap get"), "{}", trap.sprung());
}

#[test]
fn what_nested_repositories_would_run_is_told_and_moved_away() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let trap = Trap::new(&place);
    let tops = ["sub", "sub/deep/er", "src"];
    place.tamed("for d in plain sub sub/deep/er src; do git init -q $d; done; touch plain/f sub/f sub/deep/er/f");
    for top in tops {
        trap.set(&tree.join(top));
    }
    write(&tree, "elsewhere/HEAD", "ref: refs/heads/main\n");
    write(&tree, "lead/.git", "gitdir: ../elsewhere\n");
    write(&tree, "lead/f", "");
    let git_status = |top: &str| {
        let mut git = std::process::Command::new("git");
        place.isolate(&mut git);
        git.arg("-C").arg(tree.join(top)).arg("status").output().expect("git starts")
    };
    let run = |keep: &[&str]| {
        let args = [&["exec", "x", "--isolation", "none"], keep, &["--", "true"]].concat();
        let (code, answer) = place.json(args);
        assert_eq!(code, 0, "{answer}");
        let held = answer["git_config_held"].as_array().expect("a list").clone();
        (held, answer["git_config_kept"].as_bool().expect("a word"), answer["run"].as_str().expect("a run").to_owned())
    };
    let (held, kept, _) = run(&["--keep-git-config"]);
    assert!(kept && held.contains(&"lead/.git".into()), "{held:?}");
    let (held, kept, id) = run(&[]);
    assert!(!kept && held.contains(&"lead/.git".into()), "{held:?}");
    let keep = place.root().join("state/local/x/runs").join(id).join("git-nested");
    for top in tops {
        for name in ["core.fsmonitor", "include.path", "hooks/pre-commit"] {
            assert!(held.contains(&format!("{top}/.git/{name}").into()), "{top} {name}: {held:?}");
        }
        let output = git_status(top);
        assert_eq!((output.status.code(), trap.sprung()), (Some(0), String::new()), "{top}: {}", describe(&output));
        assert!(!tree.join(top).join(".git/hooks").exists(), "{top}");
        let config = std::fs::read_to_string(keep.join(top).join(".git/config")).expect("the old configuration");
        assert!(config.contains("trap") && keep.join(top).join(".git/hooks/pre-commit").exists(), "{top}");
    }
    assert!(!tree.join("lead/.git").exists() && keep.join("lead/.git").exists());
    assert!(held.iter().all(|held| !held.as_str().expect("text").starts_with("plain/")), "{held:?}");
    assert!(tree.join("plain/.git/hooks").exists() && tree.join("plain/.git/description").exists());
    let (held, ..) = run(&[]);
    assert_eq!(held, [] as [serde_json::Value; 0]);
    // The traps are real: git springs them.
    std::fs::copy(keep.join("sub/.git/config"), tree.join("sub/.git/config")).expect("a copy");
    git_status("sub");
    assert!(trap.sprung().contains("trap"), "{}", trap.sprung());
}

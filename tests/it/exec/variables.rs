//! Variables that lead somewhere, behind each wall.

use super::{code, text};
use crate::support::{Place, describe, write};

/// Runs a script behind a wall, with variables of the user's.
fn run(place: &Place, wall: &str, environment: &[(&str, String)], script: &str) -> String {
    let mut command = place.stead(["-v", "exec", "x", "--isolation", wall]);
    if !place.tree("x").exists() {
        command.arg("--empty");
    }
    command.args(["--", "sh", "-c", script]).envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0, "{wall}: {}", describe(&output));
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_variable_leads_to_what_is_there_or_is_left_out() {
    for wall in ["namespaces", "landlock"] {
        let place = Place::new();
        let home = place.home();
        write(&home, ".rustup/toolchains/stable/bin/rustc", "");
        write(&home, ".certs/ca.pem", "trusted\n");
        write(place.path(), "jdk/bin/java", "");
        write(place.path(), "elsewhere/file", "");
        let at = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        let variables = [
            ("XDG_CONFIG_HOME", at(home.join(".settings"))),
            ("GEM_HOME", at(home.join(".gem"))),
            ("JAVA_HOME", at(place.path().join("jdk"))),
            ("GRADLE_HOME", at(place.path().join("elsewhere"))),
            ("SSL_CERT_FILE", at(home.join(".certs/ca.pem"))),
        ];
        let script = "echo \"gem=$GEM_HOME home=$HOME\"; test -d \"$JAVA_HOME/bin\" && cat \"$SSL_CERT_FILE\"
            test -d \"${RUSTUP_HOME-$HOME/.rustup}/toolchains/stable\" && mkdir -p \"$GEM_HOME\"
            echo \"${XDG_CONFIG_HOME-none} ${GRADLE_HOME-none}\"";
        let printed = run(&place, wall, &variables, script);
        let seen = if wall == "namespaces" { home.clone() } else { place.root().join("homes/local/x/home") };
        let line = format!("gem={0}/.gem home={0}\ntrusted\nnone none\n", seen.display());
        assert!(printed.starts_with(&line), "{wall}: {printed}");
        assert!(printed.contains("GRADLE_HOME") && printed.contains("XDG_CONFIG_HOME"), "{wall}: {printed}");
        assert!(!home.join(".gem").exists() && place.root().join("homes/local/x/home/.gem").exists(), "{wall}");
    }
}

#[test]
fn an_agent_that_is_told_of_another_place_is_logged_in() {
    for wall in ["namespaces", "landlock"] {
        let place = Place::new();
        let path = place.program(
            "codex",
            "#!/bin/sh\ncd \"$HOME\" && cat .codex/auth.json .codex/config.toml\necho \"${CODEX_HOME-none}\"\n",
        );
        write(place.path(), "codex/auth.json", "{\"tokens\":{}}\n");
        write(place.path(), "codex/config.toml", "model = 'x'\n");
        let mut command = place.stead(["exec", "x", "--empty", "--isolation", wall, "-a", "codex", "-m", "hi"]);
        let output = command.env("PATH", &path).env("CODEX_HOME", place.path().join("codex")).output().unwrap();
        assert_eq!(code(&output), 0, "{wall}: {}", describe(&output));
        assert_eq!(text(&output.stdout), "{\"tokens\":{}}\nmodel = 'x'\nnone\n", "{wall}: {}", describe(&output));
    }
}

#[test]
fn cargo_behind_landlock_finds_what_is_warm_and_adds_to_its_own() {
    let place = Place::new();
    let home = place.home();
    write(&home, ".cargo/bin/cargo", "");
    write(&home, ".cargo/registry/src/index/serde-1.0.0/lib.rs", "warm\n");
    write(&home, ".cargo/credentials.toml", "token = 'x'\n");
    let script = "cd \"$HOME/.cargo\" && cat registry/src/index/serde-1.0.0/lib.rs && ! test -e credentials.toml
        ! cat '$1/.cargo/credentials.toml' && ! touch registry/src/index/serde-1.0.0/lib.rs
        echo mine > registry/src/index/new && cat registry/src/index/new";
    let script = script.replace("$1", home.to_str().unwrap());
    for _ in 0..2 {
        let printed = run(&place, "landlock", &[], &script);
        assert!(printed.starts_with("warm\nmine\n"), "{printed}");
    }
    assert!(!home.join(".cargo/registry/src/index/new").exists());
}

#[test]
fn npm_behind_landlock_finds_what_its_projects_need_and_writes_to_its_own() {
    let place = Place::new();
    let home = place.home();
    write(&home, ".npm/_cacache/content-v2/sha512/0a/1b/2c", "warm\n");
    write(&home, ".npm/_cacache/index-v5/0a/1b/2c", "index\n");
    let script =
        "cd \"$HOME/.npm/_cacache\" && cat content-v2/*/*/*/* && echo mine >> index-v5/0a/1b/2c && cat index-v5/*/*/*
        ! echo mine >> content-v2/sha512/0a/1b/2c";
    let first = "! test -e \"$HOME/.npm\" && echo '{}' > package.json && echo cold";
    assert!(run(&place, "landlock", &[], first).starts_with("cold\n"));
    for mine in ["mine\n", "mine\nmine\n"] {
        let printed = run(&place, "landlock", &[], script);
        assert!(printed.starts_with(&format!("warm\nindex\n{mine}")), "{printed}");
    }
    assert_eq!(std::fs::read_to_string(home.join(".npm/_cacache/index-v5/0a/1b/2c")).unwrap(), "index\n");
    assert_eq!(std::fs::read_to_string(home.join(".npm/_cacache/content-v2/sha512/0a/1b/2c")).unwrap(), "warm\n");
}

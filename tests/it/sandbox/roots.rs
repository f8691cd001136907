//! Roots on file systems of other kinds, mounted in a user namespace: each wall is had there as well.

use std::process::Command;

use super::scene::{User, ready, start};
use super::walls::{WALLS, who_can_have};
use crate::support::describe;

/// How each is mounted at `$1`; `$2` is a directory beside it.
const KINDS: [(&str, &str); 3] = [
    ("tmpfs", "mount -t tmpfs -o mode=0700 none \"$1\""),
    (
        "overlay",
        "mkdir \"$2/lower\" \"$2/upper\" \"$2/work\" && \
         mount -t overlay -o userxattr,lowerdir=\"$2/lower\",upperdir=\"$2/upper\",workdir=\"$2/work\" none \"$1\"",
    ),
    // The same file system once more, at another place.
    ("bind", "mkdir \"$2/other\" && mount --bind \"$2/other\" \"$1\""),
];

#[test]
fn a_root_may_be_on_a_file_system_of_another_kind() {
    let script = "echo made > file && chmod 755 file && ln -s file link && mkdir -p a/b && echo b > a/b/c && mv a/b/c a/c && \
                  git init -q && git add . && git commit -q -m made && echo ~ > ~/in-home && echo t > \"$TMPDIR/t\" && \
                  ! cat /etc/shadow";
    // Who mounts has to make a user namespace first, whatever the wall.
    let user = User::ordinary();
    if !who_can_have("namespaces").contains(&user) {
        return;
    }
    for wall in WALLS.into_iter().filter(|wall| who_can_have(wall).contains(&user)) {
        for (kind, mount) in KINDS {
            let place = ready(user);
            let [at, beside] = ["at", "beside"].map(|name| {
                // Without what the options of a mount would part.
                let path = place.path().join("home").join(name);
                std::fs::create_dir(&path).expect("directory");
                user.own(&path);
                path
            });
            let stead = start(&place, user);
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "sh", "-ec"]);
            command.arg(format!("{mount}; shift 2; export STEAD_ROOT=\"$PWD/../home/at/root\"; \"$@\"")).arg("sh");
            command.args([&at, &beside]).arg(stead.get_program());
            command.args(["exec", "x", "--empty", "--isolation", wall, "--", "sh", "-ec", script]);
            command.env_clear().envs(stead.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command.current_dir(place.path().join("projects"));
            user.start(&mut command);
            let output = command.output().expect("unshare starts");
            assert_eq!(output.status.code(), Some(0), "{wall} on {kind}: {}", describe(&output));
            let stderr = String::from_utf8_lossy(&output.stderr);
            for change in ["create a/c (+1 -0)", "create file (+1 -0, mode 755)", "create link"] {
                assert!(stderr.contains(change), "{wall} on {kind}: no `{change}` in {stderr}");
            }
        }
    }
}

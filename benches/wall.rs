//! What a wall costs: `stead exec x -- true` behind namespaces and behind Landlock, each against the same without a wall, and
//! bubblewrap with the same mounts against `true` alone.
//!
//! Whole commands are started in turns; printed are the medians of both and of the differences of each pair.
//! `STEAD_BENCH_DIR` names where the workspace goes (a tmpfs, or an ext4 with a journal), `STEAD_BENCH_ROUNDS` how many pairs.
//! The user's own HOME is looked at for toolchains, as in daily use; `STEAD_BENCH_HOME` names another one:
//!
//! ```text
//! cargo bench --bench wall
//! ```

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark starts commands and prints")]

mod turns;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What bubblewrap is told beside what is bound.
const BUBBLE: [&str; 12] = [
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--die-with-parent",
    "--new-session",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/run",
];

fn main() {
    let (place, rounds) = (turns::place(), turns::rounds(41));
    let home = std::env::var_os("STEAD_BENCH_HOME").or_else(|| std::env::var_os("HOME")).expect("HOME");
    let bench = Bench { place: place.path().to_owned(), home: home.into() };
    println!(
        "below {} on {}, HOME is {}",
        bench.place.display(),
        turns::file_system(&bench.place),
        bench.home.display()
    );
    turns::time(&mut bench.exec("none", true));
    for wall in ["namespaces", "landlock"] {
        let ran = bench.exec(wall, false).status().expect("stead starts");
        if ran.success() {
            compare(wall, "none", rounds, || (bench.exec(wall, false), bench.exec("none", false)));
        } else {
            println!("  {wall}: this host has no such wall");
        }
    }
    match bench.bubblewrap() {
        Some(arguments) => compare("bwrap true", "true", rounds, || {
            let mut bubblewrap = bench.command("bwrap");
            bubblewrap.args(&arguments).arg("true");
            (bubblewrap, bench.command("true"))
        }),
        None => println!("  bubblewrap: not there, or of no use here"),
    }
}

/// Prints the medians of both, and of the differences of each pair.
fn compare(ours: &str, theirs: &str, rounds: usize, commands: impl Fn() -> (Command, Command)) {
    let pairs: Vec<(f64, f64)> = (0..rounds)
        .map(|round| {
            let (mut one, mut other) = commands();
            let (one, other) = turns::both(round, &mut one, &mut other);
            (one * 1e3, other * 1e3)
        })
        .collect();
    let of = |part: fn(&(f64, f64)) -> f64| turns::median(pairs.iter().map(part));
    let (one, other, added) = (of(|pair| pair.0), of(|pair| pair.1), of(|pair| pair.0 - pair.1));
    println!("  {ours}: {one:.1} ms; {theirs}: {other:.1} ms; added: {added:.1} ms");
}

struct Bench {
    place: PathBuf,
    home: PathBuf,
}

impl Bench {
    /// Returns `stead exec x --isolation WALL -- true`.
    fn exec(&self, wall: &str, create: bool) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_stead"));
        command.arg("--root").arg(self.place.join("root")).args(["exec", "x", "--isolation", wall]);
        if create {
            command.arg("--empty");
        }
        command.args(["--", "true"]);
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in ["STEAD_ROOT", "STEAD_USER", "WORKSPACE_DIR", "DATA_DIR"] {
            command.env_remove(name);
        }
        command.env("HOME", &self.home).current_dir(&self.place).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Returns arguments that mount what stead mounts, as its own plan of a run says; `None` when bubblewrap does not work.
    fn bubblewrap(&self) -> Option<Vec<String>> {
        let mut plan = self.exec("namespaces", false);
        let words = plan.get_args().map(std::ffi::OsStr::to_owned).collect::<Vec<_>>();
        plan = self.command(env!("CARGO_BIN_EXE_stead"));
        plan.arg("--json").args(&words[..words.len() - 2]).args(["-n", "--", "true"]);
        let output = plan.stdout(Stdio::piped()).output().expect("stead starts");
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let paths = |key: &str| {
            let list = plan[key].as_array().into_iter().flatten();
            list.filter_map(|path| path.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let mut arguments: Vec<String> = BUBBLE.map(str::to_owned).into();
        let homes = self.place.join("root/homes/local/x");
        for (from, at) in [(homes.join("tmp"), Path::new("/tmp")), (homes.join("home"), &self.home)] {
            arguments.extend(["--bind".into(), from.to_string_lossy().into_owned(), at.to_string_lossy().into_owned()]);
        }
        let read = paths("read");
        for path in read.iter().filter(|path| Path::new(path).exists()) {
            match std::fs::read_link(path) {
                Ok(target) if Path::new(path).components().count() == 2 => {
                    arguments.extend(["--symlink".into(), target.to_string_lossy().into_owned(), path.clone()]);
                }
                _ => arguments.extend(["--ro-bind".into(), path.clone(), path.clone()]),
            }
        }
        let tree = self.place.join("root/workspaces/local/x").to_string_lossy().into_owned();
        arguments.extend(["--bind".into(), tree.clone(), tree.clone(), "--chdir".into(), tree]);
        let ran = self.command("bwrap").args(&arguments).arg("true").status();
        ran.is_ok_and(|status| status.success()).then_some(arguments)
    }
}

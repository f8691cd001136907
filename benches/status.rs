//! How long a look at workspaces takes: `stead status` of one and of many, as a ratio to `git status`, and an `exec` of
//! `true` with its two captures, as a ratio to `git status; true; git status`.
//!
//! Whole commands are started in turns; printed is the median of the ratios of each pair. `STEAD_BENCH_DIR` names where the
//! corpus goes (a tmpfs, or an ext4 with a journal), `STEAD_BENCH_ROUNDS` how many pairs:
//!
//! ```text
//! cargo bench --bench status
//! ```

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark starts commands and prints")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FILES: usize = 10_000;
const FILES_PER_DIRECTORY: usize = 12;
const WORKSPACES: usize = 10;
const SHELL_LOOP: &str = "for name in w*; do git -C $name status --porcelain=v2 -uall >/dev/null; done";
const SHELL_EXEC: &str = "git status --porcelain=v2 -uall; true; git status --porcelain=v2 -uall";

fn main() {
    let rounds = std::env::var("STEAD_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let place = match std::env::var_os("STEAD_BENCH_DIR") {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    }
    .expect("a directory");
    let bench = Bench { place: place.path().to_owned() };
    let project = bench.place.join("project");
    bench.generate(&project);
    let names: Vec<String> = (0..WORKSPACES).map(|number| format!("w{number}")).collect();
    let mut create = bench.stead(&["create", "--from"]);
    bench.time(create.arg(&project).args(&names));
    let trees = bench.place.join("root/workspaces/local");
    for name in &names {
        bench.time(bench.command("git").arg("-C").arg(trees.join(name)).arg("status"));
    }
    println!("{FILES} files, {WORKSPACES} workspaces below {}", bench.place.display());
    let tree = trees.join("w0");
    let shell = |script: &str, dir: &Path| {
        let mut command = bench.command("sh");
        command.args(["-c", script]).current_dir(dir);
        command
    };
    bench.compare("stead status w0", "git status --porcelain=v2 -uall", rounds, || {
        (bench.stead(&["status", "w0"]), shell("exec git status --porcelain=v2 -uall", &tree))
    });
    bench.compare("stead status", SHELL_LOOP, rounds, || (bench.stead(&["status"]), shell(SHELL_LOOP, &trees)));
    bench.compare("stead exec w0 --isolation none -- true", SHELL_EXEC, rounds, || {
        (bench.stead(&["exec", "w0", "--isolation", "none", "--", "true"]), shell(SHELL_EXEC, &tree))
    });
}

struct Bench {
    place: PathBuf,
}

impl Bench {
    /// Times both commands in turns; who comes second finds warmer caches, so they change places.
    fn compare(&self, ours: &str, theirs: &str, rounds: usize, commands: impl Fn() -> (Command, Command)) {
        let mut ratios: Vec<f64> = (0..rounds)
            .map(|round| {
                let (mut one, mut other) = commands();
                let (one, other) = if round % 2 == 0 {
                    let one = self.time(&mut one);
                    (one, self.time(&mut other))
                } else {
                    let other = self.time(&mut other);
                    (self.time(&mut one), other)
                };
                one.as_secs_f64() / other.as_secs_f64()
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        println!("  {ours}\n    / {theirs}: {:.2}", ratios[ratios.len() / 2]);
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("PATH"))
            .env("HOME", &self.place)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.com");
        }
        command
    }

    fn stead(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_stead"));
        command.arg("--root").arg(self.place.join("root")).args(args).current_dir(&self.place);
        command
    }

    fn time(&self, command: &mut Command) -> Duration {
        let start = Instant::now();
        let status = command.status().expect("the command starts");
        let time = start.elapsed();
        assert!(status.success(), "{command:?} below {}", self.place.display());
        time
    }

    fn generate(&self, project: &Path) {
        for number in 0..FILES {
            let directory = number / FILES_PER_DIRECTORY;
            let directory = project.join(format!("d{}/e{}/f{directory}", directory % 7, directory % 61));
            std::fs::create_dir_all(&directory).expect("a directory");
            let content = format!("let value_{number} = {};\n", number * 7919).repeat(20 + number % 200);
            std::fs::write(directory.join(format!("file{number}.rs")), content).expect("a file");
        }
        for args in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "corpus"]] {
            self.time(self.command("git").arg("-C").arg(project).args(args));
        }
    }
}

//! How long a look at workspaces takes: `stead status` of one and of many, as a ratio to `git status`, an `exec` of `true`
//! with its two captures, as a ratio to `git status; true; git status`, and the start alone.
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
/// Of each workspace where there are many.
const FEW_FILES: usize = 500;
const FILES_PER_DIRECTORY: usize = 12;
const WORKSPACES: usize = 100;
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
    println!("below {} on {}", bench.place.display(), bench.file_system());
    let empty = bench.place.join("empty");
    bench.time(bench.command("git").args(["init", "-q"]).arg(&empty));
    bench.compare("stead --version", "git --version", rounds * 5, || {
        let mut git = bench.command("git");
        git.arg("--version");
        (bench.stead(&["--version"]), git)
    });
    bench.compare("stead status", "git status in an empty repository", rounds * 5, || {
        let mut git = bench.command("git");
        git.arg("-C").arg(&empty).arg("status");
        (bench.stead(&["status"]), git)
    });

    let workspaces = |files: usize, user: &str, names: &[String]| {
        let project = bench.place.join(format!("project-{files}"));
        bench.generate(&project, files);
        bench.time(bench.stead(&["--user", user, "create", "--from"]).arg(&project).args(names));
        let trees = bench.place.join("root/workspaces").join(user);
        for name in names {
            bench.time(bench.command("git").arg("-C").arg(trees.join(name)).arg("status"));
        }
        trees
    };
    println!("a workspace of {FILES} files");
    let tree = workspaces(FILES, "local", &["w0".to_owned()]).join("w0");
    let shell = |script: &str, dir: &Path| {
        let mut command = bench.command("sh");
        command.args(["-c", script]).current_dir(dir);
        command
    };
    bench.compare("stead status w0", "git status --porcelain=v2 -uall", rounds, || {
        (bench.stead(&["status", "w0"]), shell("exec git status --porcelain=v2 -uall", &tree))
    });
    bench.compare("stead exec w0 --isolation none -- true", SHELL_EXEC, rounds, || {
        (bench.stead(&["exec", "w0", "--isolation", "none", "--", "true"]), shell(SHELL_EXEC, &tree))
    });

    println!("{WORKSPACES} workspaces of {FEW_FILES} files");
    let names: Vec<String> = (0..WORKSPACES).map(|number| format!("w{number}")).collect();
    let trees = workspaces(FEW_FILES, "many", &names);
    bench.compare("stead --user many status", SHELL_LOOP, rounds, || {
        (bench.stead(&["--user", "many", "status"]), shell(SHELL_LOOP, &trees))
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

    fn file_system(&self) -> String {
        let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(&self.place).output().expect("stat starts");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn generate(&self, project: &Path, files: usize) {
        for number in 0..files {
            let directory = number / FILES_PER_DIRECTORY;
            let directory = project.join(format!("d{}/e{}/f{directory}", directory % 7, directory % 61));
            std::fs::create_dir_all(&directory).expect("a directory");
            let content = format!("let value_{number} = {};\n", number * 7919).repeat(20 + number % 200);
            std::fs::write(directory.join(format!("file{number}.rs")), content).expect("a file");
        }
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["add", "."],
            &["-c", "maintenance.auto=false", "commit", "-q", "-m", "corpus"],
        ] {
            self.time(self.command("git").arg("-C").arg(project).args(args));
        }
    }
}

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

mod apart;
mod turns;

use std::path::{Path, PathBuf};
use std::process::Command;

const FILES: usize = 10_000;
/// Of each workspace where there are many.
const FEW_FILES: usize = 500;
const FILES_PER_DIRECTORY: usize = 12;
const WORKSPACES: usize = 100;
const SHELL_LOOP: &str = "for name in w*; do git -C $name status --porcelain=v2 -uall >/dev/null; done";
const SHELL_EXEC: &str = "git status --porcelain=v2 -uall; true; git status --porcelain=v2 -uall";

fn main() {
    let (place, rounds) = (turns::place(), turns::rounds(7));
    let bench = Bench { place: place.path().to_owned() };
    println!("below {} on {}", bench.place.display(), turns::file_system(&bench.place));
    let empty = bench.place.join("empty");
    turns::time(bench.command("git").args(["init", "-q"]).arg(&empty));
    compare("stead --version", "git --version", rounds * 5, || {
        let mut git = bench.command("git");
        git.arg("--version");
        (bench.stead(&["--version"]), git)
    });
    compare("stead status", "git status in an empty repository", rounds * 5, || {
        let mut git = bench.command("git");
        git.arg("-C").arg(&empty).arg("status");
        (bench.stead(&["status"]), git)
    });

    let workspaces = |files: usize, user: &str, names: &[String]| {
        let project = bench.place.join(format!("project-{files}"));
        bench.generate(&project, files);
        turns::time(bench.stead(&["--user", user, "create", "--from"]).arg(&project).args(names));
        let trees = bench.place.join("root/workspaces").join(user);
        for name in names {
            turns::time(bench.command("git").arg("-C").arg(trees.join(name)).arg("status"));
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
    compare("stead status w0", "git status --porcelain=v2 -uall", rounds, || {
        (bench.stead(&["status", "w0"]), shell("exec git status --porcelain=v2 -uall", &tree))
    });
    compare("stead exec w0 --isolation none -- true", SHELL_EXEC, rounds, || {
        (bench.stead(&["exec", "w0", "--isolation", "none", "--", "true"]), shell(SHELL_EXEC, &tree))
    });

    println!("{WORKSPACES} workspaces of {FEW_FILES} files");
    let names: Vec<String> = (0..WORKSPACES).map(|number| format!("w{number}")).collect();
    let trees = workspaces(FEW_FILES, "many", &names);
    compare("stead --user many status", SHELL_LOOP, rounds, || {
        (bench.stead(&["--user", "many", "status"]), shell(SHELL_LOOP, &trees))
    });
}

/// Prints the median of the ratios.
fn compare(ours: &str, theirs: &str, rounds: usize, commands: impl Fn() -> (Command, Command)) {
    let ratios = (0..rounds).map(|round| {
        let (mut one, mut other) = commands();
        let (one, other) = turns::both(round, &mut one, &mut other);
        one / other
    });
    println!("  {ours}\n    / {theirs}: {:.2}", turns::median(ratios));
}

struct Bench {
    place: PathBuf,
}

impl Bench {
    fn command(&self, program: &str) -> Command {
        apart::command(program, &self.place)
    }

    fn stead(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_stead"));
        command.arg("--root").arg(self.place.join("root")).args(args).current_dir(&self.place);
        command
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
            turns::time(self.command("git").arg("-C").arg(project).args(args));
        }
    }
}

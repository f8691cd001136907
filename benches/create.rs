//! How long `stead create` takes, as a ratio to `git worktree add`, and the user's first `git status` after each.
//!
//! Whole commands are started in turns; printed is the median of the ratios of each pair. `STEAD_BENCH_DIR` names where the
//! corpora go (a tmpfs, or an ext4 with a journal), an argument chooses a corpus, `STEAD_BENCH_ROUNDS` how many pairs:
//!
//! ```text
//! cargo bench --bench create -- ordinary
//! ```

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark starts commands and prints")]

mod apart;
mod turns;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A set of files, the same on every machine.
struct Corpus {
    name: &'static str,
    files: usize,
    /// Bytes of a file: at least, and how many more at most.
    size: (usize, usize),
    files_per_directory: usize,
}

const CORPORA: [Corpus; 2] = [
    Corpus { name: "ordinary", files: 10_000, size: (200, 15_000), files_per_directory: 12 },
    Corpus { name: "tiny", files: 57_000, size: (10, 120), files_per_directory: 30 },
];

fn main() {
    // `cargo bench` adds `--bench`.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let (place, rounds) = (turns::place(), turns::rounds(7));
    for corpus in CORPORA.iter().filter(|corpus| wanted.as_deref().is_none_or(|wanted| wanted == corpus.name)) {
        measure(corpus, place.path(), rounds);
    }
}

fn measure(corpus: &Corpus, place: &Path, rounds: usize) {
    let bench = Bench { place: place.join(corpus.name) };
    let project = bench.place.join("project");
    bench.generate(corpus, &project);
    let (root, trees) = (bench.place.join("root"), bench.place.join("worktrees"));
    println!("{}: {} files, {} on {}", corpus.name, corpus.files, project.display(), turns::file_system(place));
    println!("  stead --root {} create NAME --from {}", root.display(), project.display());
    println!("  git -C {} worktree add -b NAME {}/NAME", project.display(), trees.display());
    // Makes the pool: it is there for every workspace but the first.
    turns::time(&mut bench.stead(&root, &project, "warm"));
    let mut ratios = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        let name = format!("w{round}");
        let tree = trees.join(&name);
        let mut add = bench.git(&project);
        add.args(["worktree", "add", "-q", "-b", &name]).arg(&tree);
        let mut create = bench.stead(&root, &project, &name);
        let (ours, theirs) = turns::both(round, &mut create, &mut add);
        ratios[0].push(ours / theirs);
        let status = |tree: &Path| turns::time(bench.git(tree).arg("status"));
        let ours = status(&root.join("workspaces/local").join(&name));
        ratios[1].push(ours.as_secs_f64() / status(&tree).as_secs_f64());
    }
    for (what, ratios) in
        ["create / git worktree add", "first git status / the same after git worktree add"].iter().zip(ratios)
    {
        println!("  {what}: {:.2}", turns::median(ratios.into_iter()));
    }
}

struct Bench {
    place: PathBuf,
}

impl Bench {
    fn git(&self, dir: &Path) -> Command {
        let mut command = apart::command("git", &self.place);
        command.arg("-C").arg(dir);
        command
    }

    fn stead(&self, root: &Path, project: &Path, name: &str) -> Command {
        let mut command = apart::command(env!("CARGO_BIN_EXE_stead"), &self.place);
        command.arg("--root").arg(root).args(["create", name, "--from"]).arg(project);
        command
    }

    fn generate(&self, corpus: &Corpus, project: &Path) {
        std::fs::create_dir_all(project).expect("directory");
        let mut random = Random(0x5eed);
        for number in 0..corpus.files {
            let directory = number / corpus.files_per_directory;
            let directory = project.join(format!("d{}/e{}/f{directory}", directory % 7, directory % 61));
            std::fs::create_dir_all(&directory).expect("directory");
            // Most files are small, few are large.
            let spread = random.below(corpus.size.1).min(random.below(corpus.size.1));
            let mut content = Vec::new();
            while content.len() < corpus.size.0 + spread {
                content.extend_from_slice(
                    format!("let value_{} = {};\n", random.below(500), random.below(100_000)).as_bytes(),
                );
            }
            std::fs::write(directory.join(format!("file{number}.rs")), content).expect("file");
        }
        turns::time(self.git(project).args(["init", "-q", "-b", "main"]));
        turns::time(self.git(project).args(["add", "."]));
        // Its own collection would go on in the background and be in the way of the next.
        turns::time(self.git(project).args(["-c", "maintenance.auto=false", "commit", "-q", "-m", "corpus"]));
        turns::time(self.git(project).args(["gc", "-q"]));
    }
}

/// A linear congruential generator: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

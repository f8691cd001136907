//! `stead completions`: the completion script of a shell.

use clap_complete::Shell;
use serde::Serialize;

use crate::error::{Exit, Result};
use crate::ui::text::Page;
use crate::ui::{Report, Ui};

/// Print the completion script of a shell
///
/// Put it where your shell looks for it: `stead completions bash > ~/.local/share/bash-completion/completions/stead`,
/// `stead completions fish > ~/.config/fish/completions/stead.fish`, or for zsh a file `_stead` in a directory of
/// `$fpath`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Supported,
}

/// The shells whose scripts are also kept as files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Supported {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Serialize)]
struct Answer {
    script: String,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        self.script.lines().for_each(|line| page.line(line));
    }
}

pub(crate) fn run(args: &Args, mut command: clap::Command, ui: &Ui) -> Result<Exit> {
    let shell = match args.shell {
        Supported::Bash => Shell::Bash,
        Supported::Zsh => Shell::Zsh,
        Supported::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "stead", &mut script);
    // As bytes: a page would make the tabs of a script visible.
    if ui.json() { ui.answer(&Answer { script: String::from_utf8(script)? }) } else { ui.raw(&script) }
}

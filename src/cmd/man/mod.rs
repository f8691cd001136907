//! `stead man`: the man pages, made from the command line's definition and the sections in [`sections`].

mod sections;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use serde::Serialize;

use crate::error::{Exit, Failure, Kind, Result};
use crate::run::environment;
use crate::store::fs::{self, Durability};
use crate::ui::text::{Page, quote};
use crate::ui::{Report, Ui};
use crate::workspace::gc::CODES;

/// Print or write the man pages
///
/// Prints the page of `stead` or of one subcommand; with `--out`, writes all of them to a directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the page of this subcommand
    #[arg(value_name = "COMMAND")]
    subcommand: Option<String>,
    /// Write all pages to this directory
    #[arg(long, value_name = "DIR", conflicts_with = "subcommand")]
    out: Option<PathBuf>,
}

/// What every piece of a page begins with.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

#[derive(Debug, Serialize)]
struct Answer {
    /// The files written.
    files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        for file in &self.files {
            page.line(quote(file.as_bytes()));
        }
    }
}

pub(crate) fn run(args: &Args, mut command: clap::Command, ui: &Ui) -> Result<Exit> {
    // The subcommands get the global options and their names in full from this.
    command = command.disable_help_subcommand(true);
    command.build();
    if let Some(dir) = &args.out {
        let files = write_all(&command, dir)?;
        return ui.answer(&Answer { files, page: None });
    }
    let chosen = match &args.subcommand {
        None => &command,
        Some(name) => command.find_subcommand(name).ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("there is no command `{name}`")).hint("see `stead --help`")
        })?,
    };
    let (_, page) = page(chosen)?;
    if ui.json() {
        return ui.answer(&Answer { files: Vec::new(), page: Some(String::from_utf8(page)?) });
    }
    ui.raw(&page)
}

fn write_all(command: &clap::Command, dir: &Path) -> Result<Vec<String>> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    let mut files = Vec::new();
    for command in std::iter::once(command).chain(command.get_subcommands().filter(|command| !command.is_hide_set())) {
        let (name, page) = page(command)?;
        let path = dir.join(name);
        fs::write_atomic(&path, &page, Durability::Lazy)?;
        files.push(path.to_string_lossy().into_owned());
    }
    Ok(files)
}

/// Returns the name of a command's page and the page.
fn page(command: &clap::Command) -> Result<(String, Vec<u8>)> {
    let man = Man::new(command.clone()).source(concat!("stead ", env!("CARGO_PKG_VERSION"))).manual("stead");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::default();
    let name = command.get_name();
    if name == "gc" {
        roff.control("SH", ["CODES"]);
        entries(&mut roff, &CODES);
    }
    roff.control("SH", ["EXIT STATUS"]);
    if name == "exec" {
        entries(&mut roff, sections::EXEC_EXIT_STATUS);
    } else {
        entries(&mut roff, sections::EXIT_STATUS);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    entries(&mut roff, sections::ENVIRONMENT);
    if name == "exec" {
        roff.control("SH", ["ENVIRONMENT OF A RUN"]);
        roff.text([roman(sections::RUN_ENVIRONMENT)]);
        roff.control("PP", []);
        roff.text([roman(environment::ALLOWED.join(", "))]);
    }
    roff.control("SH", ["FILES"]);
    entries(&mut roff, sections::FILES);
    let examples = sections::examples(name);
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        for (words, line) in examples {
            roff.text([roman(*words)]);
            roff.control("PP", []);
            roff.control("RS", ["4"]);
            roff.control("nf", []);
            roff.text([bold(*line)]);
            roff.control("fi", []);
            roff.control("RE", []);
            roff.control("PP", []);
        }
    }
    roff.to_writer(&mut page)?;
    // Each section came with the same two lines of definitions; once is enough.
    let text = String::from_utf8(page)?;
    let (first, rest) = text.split_at(PREAMBLE.len());
    let page = format!("{first}{}", rest.replace(PREAMBLE, "")).into_bytes();
    Ok((man.get_filename(), page))
}

fn entries(roff: &mut Roff, entries: &[(&str, &str)]) {
    for (name, words) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*words)]);
    }
}

/// Returns a subcommand's examples as its help shows them; empty when there are none.
pub(crate) fn examples(subcommand: &str) -> String {
    let lines = sections::examples(subcommand).iter().map(|(words, line)| format!("  # {words}\n  {line}"));
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { lines.concat() } else { format!("Examples:\n{}", lines.join("\n")) }
}

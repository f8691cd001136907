//! `stead man`.

use serde::Serialize;

use crate::error::Result;
use crate::ui::text::Page;
use crate::ui::{Report, Ui};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        let _ = page;
    }
}

pub(crate) fn run(args: &Args, command: clap::Command, ui: &Ui) -> Result<Answer> {
    let _ = (args, command, ui);
    todo!("man")
}

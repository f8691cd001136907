//! `stead clone`.

use serde::Serialize;

use crate::config::Config;
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

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let _ = (args, config, ui);
    todo!("clone")
}

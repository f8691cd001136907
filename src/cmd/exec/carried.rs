//! What crosses between the user's HOME and the private one of a workspace, and what is said of it.

use std::path::PathBuf;

use crate::config::Config;
use crate::run::RunSpec;
use crate::run::agent::AgentPreset;
use crate::run::login::{self, CarriedIn};
use crate::store::beneath::Dir;
use crate::ui::Ui;

/// An agent's login in the private home, for as long as a run takes.
pub(super) struct Carried<'a>(Option<(&'a AgentPreset, PathBuf, Dir, CarriedIn)>);

impl<'a> Carried<'a> {
    pub(super) fn in_for(spec: &'a RunSpec, config: &Config, private: Dir, ui: &Ui) -> Self {
        let (Some(preset), Some(home)) = (&spec.preset, config.environment.home()) else { return Self(None) };
        let carried = login::carry_in(preset, &home, &private);
        for problem in &carried.problems {
            ui.warn(problem);
        }
        Self(Some((preset, home, private, carried)))
    }

    /// Copies back what was refreshed.
    pub(super) fn back(self, ui: &Ui) {
        let Some((preset, home, private, carried)) = self.0 else { return };
        for refused in login::carry_back(preset, &home, &private, &carried) {
            ui.warn(&refused);
        }
    }
}

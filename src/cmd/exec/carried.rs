//! What crosses between the user's HOME and the private one of a workspace, and what is said of it.

use std::path::Path;

use crate::config::Config;
use crate::run::RunSpec;
use crate::run::agent::AgentPreset;
use crate::run::login::{self, CarriedIn, Own};
use crate::run::warm::Warm;
use crate::store::beneath::Dir;
use crate::ui::Ui;

/// Fills the caches of the private home in `homes` from the user's.
pub(super) fn warm(spec: &RunSpec, tree: &Path, (homes, private): (&Dir, &Dir), ui: &Ui) {
    if spec.warm == Warm::default() {
        return;
    }
    let may_read = |path: &Path| spec.policy.read.iter().any(|place| path.starts_with(place));
    let filled = Dir::open(tree)
        .map(|tree| spec.warm.wanted(&tree, &spec.argv[0]))
        .and_then(|warm| warm.fill(homes, private, may_read));
    if let Err(error) = filled {
        ui.warn(&format!("{error:#}; the run fetches the packages that it needs"));
    }
}

/// An agent's login in the private home, for as long as a run takes.
pub(super) struct Carried<'a>(Option<(&'a AgentPreset, Own, Dir, CarriedIn)>);

impl<'a> Carried<'a> {
    pub(super) fn in_for(spec: &'a RunSpec, config: &Config, private: Dir, ui: &Ui) -> Self {
        let (Some(preset), Some(home)) = (&spec.preset, config.environment.home()) else { return Self(None) };
        let own = Own::of(preset, home, &config.environment);
        let carried = login::carry_in(preset, &own, &private);
        for problem in &carried.problems {
            ui.warn(problem);
        }
        Self(Some((preset, own, private, carried)))
    }

    /// Copies back what was refreshed.
    pub(super) fn back(self, ui: &Ui) {
        let Some((preset, own, private, carried)) = self.0 else { return };
        for refused in login::carry_back(preset, &own, &private, &carried) {
            ui.warn(&refused);
        }
    }
}

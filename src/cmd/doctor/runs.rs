//! What is looked at of the runs of a workspace.

use crate::cmd::doctor::{Check, Status};
use crate::error::Result;
use crate::run::lost::{self, What};
use crate::store::lease::Lease;
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::workspace::{LeasedWorkspace, Workspace};

/// Looks for runs whose record cannot be read.
pub(super) fn checks(at: &UserRoot, name: &WorkspaceName, repair: bool) -> Result<Vec<Check>> {
    let state = at.state(name);
    let look = || lost::look(&state.join("runs"), &state.join("store.git"));
    if !state.exists() || look()?.is_empty() {
        return Ok(Vec::new());
    }
    // A run that begins has no record yet.
    let Some(lease) = Lease::try_acquire(&at.lock(name), "doctor")? else { return Ok(Vec::new()) };
    let workspace = LeasedWorkspace::new(Workspace::find(at, name)?, lease);
    let mut checks = Vec::new();
    for lost in look()? {
        let words = format!("`{name}`: {}", lost.words());
        checks.push(if lost.what == What::Newer {
            Check::new("run", Status::Problem, words).hint("use the stead that wrote it, or a newer one")
        } else if repair {
            match lost.mend(&workspace) {
                Ok(how) => Check::new("run", Status::Repaired, format!("{words}; {how}")),
                Err(error) => Check::new("run", Status::Problem, format!("{words}; {error:#}")),
            }
        } else if lost.what == What::Unborn {
            Check::new("run", Status::Warning, words).hint("the next `exec` or `stead doctor --repair` removes it")
        } else {
            Check::new("run", Status::Problem, words).hint("`stead doctor --repair` makes it anew")
        });
    }
    Ok(checks)
}

//! The private directories of a workspace, made ready for a run whatever earlier ones have made of them.

use std::path::Path;

use crate::error::Result;
use crate::run::policy::{Policy, Wall};
use crate::store::beneath::Dir;
use crate::ui::Ui;
use crate::ui::text::quote;

/// Returns the private HOME and the directory for temporary files; what is kept of changes to caches is looked after as well.
pub(super) fn ready(homes: &Dir, policy: &Policy, ui: &Ui) -> Result<(Dir, Dir)> {
    let reclaim = |directory: &Dir, name: &str| -> Result<Dir> {
        let (reclaimed, aside) = directory.reclaim(Path::new(name))?;
        if let Some(aside) = aside {
            let (name, aside) = (quote(name.as_bytes()), quote(aside.as_encoded_bytes()));
            ui.warn(&format!(
                "a run has put something else in the place of its directory `{name}`: it is `{aside}` now"
            ));
        }
        Ok(reclaimed)
    };
    if policy.wall == Wall::Namespaces {
        let names = policy.caches.iter().filter_map(|cache| cache.changes.as_ref().file_name()?.to_str());
        for name in names {
            // One that is not there yet is made with the wall.
            if homes.stat(Path::new(name))?.is_some() {
                let changes = reclaim(homes, name)?;
                reclaim(&changes, "upper")?;
                reclaim(&changes, "work")?;
            }
        }
    }
    Ok((reclaim(homes, "home")?, reclaim(homes, "tmp")?))
}

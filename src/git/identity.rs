//! The user's own identity, as git knows it.

use crate::error::Result;
use crate::git::userconfig;

/// Returns `Name <mail>` from the user's and the system's git configuration; `None` unless both are set.
pub(crate) fn of_user() -> Result<Option<String>> {
    userconfig::check()?;
    let Ok(config) = git2::Config::open_default().and_then(|mut config| config.snapshot()) else { return Ok(None) };
    let text = |key| {
        config.get_str(key).ok().map(str::trim).filter(|text| !text.is_empty() && !text.contains(['<', '>', '\n']))
    };
    let (name, mail) = (text("user.name"), text("user.email"));
    Ok(name.zip(mail).map(|(name, mail)| format!("{name} <{mail}>")))
}

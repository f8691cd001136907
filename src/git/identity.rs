//! The user's own identity, as git knows it.

/// Returns `Name <mail>` from the user's and the system's git configuration; `None` unless both are set.
pub(crate) fn of_user() -> Option<String> {
    let config = git2::Config::open_default().ok()?.snapshot().ok()?;
    let text = |key| {
        config.get_str(key).ok().map(str::trim).filter(|text| !text.is_empty() && !text.contains(['<', '>', '\n']))
    };
    Some(format!("{} <{}>", text("user.name")?, text("user.email")?))
}

//! Agent presets as data: how a named agent CLI is called and what it needs.

/// How a named agent CLI is called.
#[derive(Clone, Debug)]
pub(crate) struct AgentPreset {
    pub(crate) name: String,
}

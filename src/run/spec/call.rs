//! The command line of a run: the user's own, or an agent's with its prompt.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind, Result};
use crate::run::agent::{AgentPreset, PromptBy};
use crate::run::policy::{Isolation, Wall};

/// A command line and how its prompt gets to it.
pub(super) struct Called {
    pub(super) argv: Vec<OsString>,
    pub(super) shown: Vec<String>,
    pub(super) by: PromptBy,
    pub(super) prompt_file: Option<PathBuf>,
}

impl Called {
    pub(super) fn command(command: &[OsString]) -> Self {
        Self {
            argv: command.to_vec(),
            shown: command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            by: PromptBy::Stdin,
            prompt_file: None,
        }
    }
}

pub(super) fn call(
    preset: &AgentPreset,
    prompt: Option<&str>,
    prompt_file: &Path,
    settings: Vec<OsString>,
    isolation: Isolation,
    wall: Wall,
) -> Result<Called> {
    // Asked for by name, a run without a wall is the user's own decision; what skips all questions is still not passed.
    if wall == Wall::None && preset.open.is_none() && isolation != Isolation::None {
        let name = &preset.name;
        return Err(Failure::new(Kind::Refused, format!("without a wall `{name}` may do whatever you may, unasked"))
            .hint(
                "accept that with `--isolation none`, or use an agent that can be told to edit only, such as `claude`",
            )
            .into());
    }
    let words = |words: &[String]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let mut argv = words(&preset.command);
    let Some(prompt) = prompt else {
        argv.extend(settings);
        return Ok(Called::command(&argv));
    };
    argv.extend(words(&preset.headless));
    if wall == Wall::None {
        argv.extend(preset.open.iter().flatten().map(OsString::from));
    } else {
        argv.extend(words(&preset.walled));
    }
    argv.extend(settings);
    argv.extend(words(&preset.prompt_args));
    let mut called = Called { by: preset.prompt, ..Called::command(&argv) };
    match preset.prompt {
        PromptBy::Stdin => {}
        PromptBy::Argument => {
            called.argv.push(prompt.into());
            called.shown.push("PROMPT".into());
        }
        PromptBy::File => {
            called.argv.push(prompt_file.into());
            called.shown.push("PROMPT-FILE".into());
            called.prompt_file = Some(prompt_file.into());
        }
    }
    Ok(called)
}

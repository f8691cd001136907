//! Files that run code when somebody opens the directory, enters it, or pushes it: hooks, settings of editors and agents, CI
//! files; and links that lead outside.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use git2::Repository;

use super::trees::{self, LINK};
use crate::error::Result;
use crate::git::Oid;

/// Directories whose files are run or read as settings, wherever they are.
const DIRECTORIES: [&str; 44] = [
    ".vscode",
    ".idea",
    ".fleet",
    ".zed",
    ".devcontainer",
    ".husky",
    ".githooks",
    ".git-hooks",
    ".claude",
    ".codex",
    ".cursor",
    ".gemini",
    ".opencode",
    ".pi",
    ".aider",
    ".windsurf",
    ".circleci",
    ".buildkite",
    ".semaphore",
    ".teamcity",
    ".woodpecker",
    ".direnv",
    ".helix",
    ".vim",
    ".nvim",
    ".vs",
    ".continue",
    ".roo",
    ".kiro",
    ".amazonq",
    ".junie",
    ".qwen",
    ".crush",
    ".goose",
    ".trae",
    ".augment",
    ".tekton",
    ".harness",
    ".azure-pipelines",
    ".pipelines",
    ".builds",
    "bamboo-specs",
    ".mise",
    ".lefthook",
];

/// Directories of CI below others.
const PAIRS: [(&str, &str); 10] = [
    (".github", "workflows"),
    (".github", "actions"),
    (".gitea", "workflows"),
    (".forgejo", "workflows"),
    (".gitlab", "ci"),
    (".cargo", ""),
    (".gitea", "actions"),
    (".forgejo", "actions"),
    (".github", "hooks"),
    (".config", "mise"),
];

const FILES: [&str; 95] = [
    ".envrc",
    ".autoenv",
    ".autoenv.zsh",
    ".mcp.json",
    ".gitlab-ci.yml",
    ".gitlab-ci.yaml",
    ".travis.yml",
    "jenkinsfile",
    "azure-pipelines.yml",
    "azure-pipelines.yaml",
    "bitbucket-pipelines.yml",
    ".drone.yml",
    ".drone.star",
    ".cirrus.yml",
    ".cirrus.star",
    "appveyor.yml",
    ".appveyor.yml",
    ".woodpecker.yml",
    ".build.yml",
    "cloudbuild.yaml",
    "buildspec.yml",
    ".pre-commit-config.yaml",
    "lefthook.yml",
    ".lefthook.yml",
    "lefthook.toml",
    ".exrc",
    ".vimrc",
    ".nvimrc",
    ".nvim.lua",
    ".lvimrc",
    ".dir-locals.el",
    ".gdbinit",
    ".lldbinit",
    ".gitmodules",
    "mise.toml",
    ".mise.toml",
    "opencode.json",
    ".aider.conf.yml",
    ".yarnrc.yml",
    ".npmrc",
    ".stead.toml",
    "mcp.json",
    ".opencode.json",
    "opencode.jsonc",
    ".aider.conf.yaml",
    "gemini-extension.json",
    ".gitattributes",
    ".lfsconfig",
    "circle.yml",
    "jenkinsfile.groovy",
    ".cirrus.yaml",
    ".drone.yaml",
    ".drone.jsonnet",
    ".woodpecker.yaml",
    "appveyor.yaml",
    ".appveyor.yaml",
    "cloudbuild.yml",
    "cloudbuild.json",
    "buildspec.yaml",
    "bitbucket-pipelines.yaml",
    "wercker.yml",
    "screwdriver.yaml",
    "codemagic.yaml",
    "bitrise.yml",
    ".scrutinizer.yml",
    ".pre-commit-config.yml",
    ".pre-commit-hooks.yaml",
    ".overcommit.yml",
    "lefthook.yaml",
    ".lefthook.yaml",
    "lefthook.json",
    "lefthook-local.yml",
    ".lefthook-local.yml",
    ".simple-git-hooks.json",
    "simple-git-hooks.json",
    ".huskyrc",
    ".huskyrc.json",
    ".huskyrc.js",
    ".devcontainer.json",
    "mise.local.toml",
    ".mise.local.toml",
    ".rtx.toml",
    ".dir-locals-2.el",
    ".gdbearlyinit",
    ".lldbinit-xcode",
    ".ghci",
    ".rprofile",
    ".octaverc",
    ".irbrc",
    ".pryrc",
    ".iex.exs",
    ".ocamlinit",
    ".pnpmfile.cjs",
    ".pnpmfile.mjs",
    ".yarnrc",
];

/// Names of git's hooks, which some projects keep in a plain `hooks/`.
const HOOKS: [&str; 10] = [
    "pre-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-rebase",
    "post-checkout",
    "post-merge",
    "pre-push",
    "post-rewrite",
    "pre-receive",
];

/// Returns what `after` has new or changed against `before` that needs `--allow-exec`: path and reason, sorted.
pub(crate) fn between(repository: &Repository, before: Oid, after: Oid) -> Result<Vec<(Vec<u8>, String)>> {
    let mut found = Vec::new();
    for difference in trees::differences(repository, before, after)? {
        let Some(entry) = difference.after else { continue };
        let path = difference.path;
        if entry.mode == LINK {
            let blob = repository.find_blob(entry.id)?;
            if leads_outside(&path, blob.content()) {
                let target = String::from_utf8_lossy(blob.content()).into_owned();
                found.push((path, format!("link to {target}")));
                continue;
            }
        }
        if runs(&path) {
            found.push((path, "runs code when opened".to_owned()));
        }
    }
    Ok(found)
}

/// Returns whether a file of this path is run, or says what is, without anybody asking for it. Case counts for nothing, as on
/// some file systems.
fn runs(path: &[u8]) -> bool {
    let lower = path.to_ascii_lowercase();
    let components: Vec<&[u8]> = lower.split(|byte| *byte == b'/').collect();
    let Some((name, directories)) = components.split_last() else { return false };
    let is = |one: &[u8], other: &str| one == other.as_bytes();
    if directories.iter().any(|directory| DIRECTORIES.iter().any(|known| is(directory, known))) {
        return true;
    }
    for (number, directory) in directories.iter().enumerate() {
        let next = directories.get(number + 1);
        if PAIRS
            .iter()
            .any(|(one, two)| is(directory, one) && (two.is_empty() || next.is_some_and(|next| is(next, two))))
        {
            return true;
        }
    }
    FILES.iter().any(|known| is(name, known))
        || name.ends_with(b".code-workspace")
        // A link in the place of a directory whose files count.
        || DIRECTORIES.iter().any(|known| is(name, known))
        || (directories.last().is_some_and(|last| is(last, "hooks")) && HOOKS.iter().any(|known| is(name, known)))
}

/// Returns whether a link at `path` with this text leads out of the tree, or into a git directory.
fn leads_outside(path: &[u8], target: &[u8]) -> bool {
    let target = Path::new(std::ffi::OsStr::from_bytes(target));
    let mut depth = path.split(|byte| *byte == b'/').count() - 1;
    for component in target.components() {
        match component {
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            Component::Normal(name) if crate::store::dotgit::is_dot_git(name.as_bytes()) => return true,
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_run_code_are_known() {
        for path in [
            ".envrc",
            "sub/.envrc",
            ".vscode/tasks.json",
            ".github/workflows/ci.yml",
            ".GitHub/Workflows/ci.yml",
            ".claude/settings.json",
            ".mcp.json",
            ".husky/pre-commit",
            "hooks/pre-commit",
            ".cargo/config.toml",
            "Jenkinsfile",
            ".gitattributes",
            "src/.gitattributes",
            ".codex/config.toml",
            ".cursor/mcp.json",
            ".gemini/settings.json",
            ".kiro/hooks/on-save.kiro.hook",
            "opencode.jsonc",
            ".idea/workspace.xml",
            ".devcontainer.json",
            ".woodpecker.yaml",
            ".forgejo/workflows/ci.yaml",
            ".builds/alpine.yml",
            "lefthook.yaml",
            ".Rprofile",
            ".npmrc",
            ".config/mise/config.toml",
        ] {
            assert!(runs(path.as_bytes()), "{path}");
        }
        for path in [
            "src/main.rs",
            "Makefile",
            "AGENTS.md",
            "build.rs",
            "src/hooks/use_state.ts",
            ".github/ISSUE_TEMPLATE.md",
            "README.md",
            "envrc",
        ] {
            assert!(!runs(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn links_that_lead_outside_are_known() {
        for (path, target) in
            [("a", "/etc/passwd"), ("a", "../x"), ("d/a", "../../x"), ("a", "b/../../x"), ("a", ".git/config")]
        {
            assert!(leads_outside(path.as_bytes(), target.as_bytes()), "{path} {target}");
        }
        for (path, target) in [("a", "b"), ("d/a", "../x"), ("d/e/a", "../../x"), ("a", "d/../x")] {
            assert!(!leads_outside(path.as_bytes(), target.as_bytes()), "{path} {target}");
        }
    }
}

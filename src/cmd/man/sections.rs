//! What the man pages say beyond the help text.

type Entries = &'static [(&'static str, &'static str)];

pub(super) const EXIT_STATUS: Entries = &[
    ("0", "Done. A reader that closed the pipe counts as done."),
    ("1", "failed: the machine failed us (files, network), or some of several items failed."),
    ("2", "usage: the command line or a configuration file is wrong."),
    ("3", "not-found: there is no such workspace, source or run."),
    ("4", "exists: the name is taken."),
    ("5", "busy: another process holds the lease of the workspace."),
    ("6", "conflict: a sync needs a decision."),
    ("7", "refused: it would lose work or cross a wall, and was not told to."),
    ("8", "unsupported: this host lacks a feature that was asked for."),
    ("9", "damaged: a file under the root is not as this version expects."),
    ("130, 143", "Interrupted by SIGINT or SIGTERM."),
];

pub(super) const EXEC_EXIT_STATUS: Entries = &[
    ("0 to 123", "What the command exited with."),
    ("124", "The run took longer than its timeout."),
    ("125", "stead itself failed, whatever the kind; the kind is in the message and in the JSON."),
    ("126", "The command is there but cannot be executed."),
    ("127", "There is no such command."),
    ("128 and more", "128 + n: the command was ended by signal n; 137 also when the run reached a limit."),
];

pub(super) const ENVIRONMENT: Entries = &[
    ("STEAD_ROOT", "The root, unless --root names one."),
    (
        "WORKSPACE_DIR, DATA_DIR",
        "The root where STEAD_ROOT is not set; only a directory that is empty, missing or a root already is taken.",
    ),
    ("STEAD_USER", "The user, unless --user names one."),
    ("STEAD_AGENT", "The agent that exec runs by default."),
    ("CLAUDE_EXEC_TIMEOUT", "The timeout of a run, in seconds."),
    ("WORKSPACE_CLEANUP_AGE_DAYS", "The age at which gc collects a workspace, in days."),
    ("WORKSPACE_PORT_RANGE_START, WORKSPACE_PORT_RANGE_END", "The ports that workspaces may get."),
    ("GITHUB_TOKEN, GH_TOKEN", "A token for https://github.com."),
    ("GIT_SSH_COMMAND", "How ssh is called."),
    ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE", "As everywhere."),
    ("NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM", "Whether colours are used, unless --color says so."),
];

pub(super) const RUN_ENVIRONMENT: &str = "A command gets, besides what its agent reads, what the workspace, --env and \
     --pass-env name, STEAD_WORKSPACE, STEAD_RUN, STEAD_BASE, the workspace's ports (PORT, STEAD_PORT_1, ...) and a TMPDIR of \
     the workspace's own, only these variables (a * stands for the rest of a name). Behind a wall \
     HOME is the workspace's own, with the login and settings of the agent copied in; without one it is yours. A variable that \
     leads to what is not there behind a wall is not passed on, or leads to the same place in that HOME; -v names what is \
     left out.";

pub(super) const FILES: Entries = &[
    ("~/.local/share/stead", "The root, unless another one is named."),
    ("ROOT/workspaces/USER/NAME", "The tree of a workspace."),
    ("ROOT/state/USER/NAME", "Its record, its store and its runs; nothing for a run to write."),
    ("ROOT/trash", "What rm and gc removed, until it expires."),
    ("ROOT/audit.jsonl", "One line for each command that changed something."),
    ("/etc/stead/config.toml, ~/.config/stead/config.toml", "Settings of the system and of the user."),
    (
        ".stead.toml",
        "Settings of a project, at the top of its working tree; what runs code or widens a policy is taken only after \
         stead config trust.",
    ),
    ("~/.config/stead/trust.toml", "What the user agreed to."),
];

/// Returns a subcommand's examples: what for, and the line.
pub(super) fn examples(subcommand: &str) -> Entries {
    match subcommand {
        "stead" => &[
            (
                "Run a command in a new workspace of the repository around the current directory:",
                "stead exec try -- sh -c 'echo hello > hello.txt'",
            ),
            ("See what it changed:", "stead diff try"),
            ("Take the work home as branch stead/try:", "stead sync try --to"),
            ("Remove what is old and safe elsewhere:", "stead gc"),
        ],
        "create" => &[
            ("Two workspaces of one repository:", "stead create one two --from https://example.com/acme/api.git"),
            ("One without a repository:", "stead create notes --empty"),
        ],
        "clone" => {
            &[("A workspace of a repository, on its default branch:", "stead clone https://example.com/acme/api.git")]
        }
        "exec" => &[
            ("Run an agent with a prompt:", "stead exec fix-login -a claude -m 'fix the login test'"),
            ("Run a command, with a time limit:", "stead exec fix-login --timeout 10m -- cargo test"),
            ("Know exactly what it did, as JSON:", "stead --json exec fix-login -- make generate"),
        ],
        "status" => {
            &[("All workspaces:", "stead status"), ("The totals, for a script:", "stead --json status --summary")]
        }
        "sync" => &[
            ("Bring a workspace up to date:", "stead sync fix-login"),
            ("Take its work to the project as branch stead/fix-login:", "stead sync fix-login --to"),
            ("Write its changes into a working tree:", "stead sync fix-login --to ~/src/api --apply"),
        ],
        "gc" => {
            &[("What would be collected, and why:", "stead gc --dry-run"), ("Once an hour:", "stead gc --watch 1h")]
        }
        "diff" => &[
            ("A patch that git takes:", "stead diff fix-login --patch | git apply"),
            ("What the last run changed:", "stead diff fix-login --run last"),
        ],
        "log" => &[("The runs of a workspace:", "stead log fix-login"), ("Who did what:", "stead log --audit")],
        "undo" => &[
            ("Take back what the last run did:", "stead undo fix-login"),
            ("Put one folder back to before a run:", "stead undo fix-login 20260131-154500-0f3a src/login"),
        ],
        "rm" => &[("Into the trash:", "stead rm fix-login")],
        "restore" => &[
            ("What is in the trash, and when it goes:", "stead restore"),
            ("Out of the trash, under another name:", "stead restore fix-login --as fix-login-2"),
        ],
        "import" => &[("Copy a folder in:", "stead import fix-login ~/data/fixtures:tests/fixtures")],
        "path" => &[("Go there:", "cd \"$(stead path fix-login)\"")],
        "config" => &[
            ("Every setting and where it comes from:", "stead config show"),
            ("Agree to what the project's file sets:", "stead config trust"),
        ],
        "doctor" => &[("Check, and mend what is simple:", "stead doctor --repair")],
        "completions" => &[("For bash:", "stead completions bash > ~/.local/share/bash-completion/completions/stead")],
        "man" => &[("Write all pages:", "stead man --out ~/.local/share/man/man1")],
        _ => &[],
    }
}

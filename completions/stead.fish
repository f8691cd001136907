# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_stead_global_optspecs
    string join \n root= user= json q/quiet v/verbose color= h/help V/version
end

function __fish_stead_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_stead_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_stead_using_subcommand
    set -l cmd (__fish_stead_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c stead -n "__fish_stead_needs_command" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_needs_command" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_needs_command" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_needs_command" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_needs_command" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_needs_command" -s h -l help -d 'Print help'
complete -c stead -n "__fish_stead_needs_command" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_needs_command" -f -a "create" -d 'Make new workspaces'
complete -c stead -n "__fish_stead_needs_command" -f -a "clone" -d 'Make a workspace of a repository, or bring it up to date'
complete -c stead -n "__fish_stead_needs_command" -f -a "exec" -d 'Run an agent or a command in a workspace, then print what changed'
complete -c stead -n "__fish_stead_needs_command" -f -a "status" -d 'Show the state of one, some or all workspaces'
complete -c stead -n "__fish_stead_needs_command" -f -a "ls" -d 'Show the state of one, some or all workspaces'
complete -c stead -n "__fish_stead_needs_command" -f -a "sync"
complete -c stead -n "__fish_stead_needs_command" -f -a "gc" -d 'Collect what is expired, orphaned or half-made'
complete -c stead -n "__fish_stead_needs_command" -f -a "diff" -d 'Show the changes of a workspace'
complete -c stead -n "__fish_stead_needs_command" -f -a "log" -d 'Show runs and events'
complete -c stead -n "__fish_stead_needs_command" -f -a "undo" -d 'Put a workspace back to where it was before a run'
complete -c stead -n "__fish_stead_needs_command" -f -a "rm" -d 'Move workspaces to the trash'
complete -c stead -n "__fish_stead_needs_command" -f -a "restore" -d 'Bring a workspace back from the trash'
complete -c stead -n "__fish_stead_needs_command" -f -a "import" -d 'Copy files or folders into a workspace'
complete -c stead -n "__fish_stead_needs_command" -f -a "path" -d 'Print the path of a workspace\'s tree'
complete -c stead -n "__fish_stead_needs_command" -f -a "config" -d 'Show settings and where they come from'
complete -c stead -n "__fish_stead_needs_command" -f -a "doctor" -d 'Check the root, the host and the wall'
complete -c stead -n "__fish_stead_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c stead -n "__fish_stead_needs_command" -f -a "man" -d 'Print or write the man pages'
complete -c stead -n "__fish_stead_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stead -n "__fish_stead_using_subcommand create" -l from -d 'Make them of this repository: a URL, `user@host:path` or a path' -r
complete -c stead -n "__fish_stead_using_subcommand create" -s b -l branch -d 'Check out this branch, tag or request (`pr/123`, `mr/123`); a name that is new becomes a branch' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l base -d 'Start a new branch at this branch, tag or commit' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l depth -d 'Fetch only the last N commits of each branch' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l ttl -d 'Let it expire this long after its last use (`24h`, `7d`)' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l layout -d 'Make the directories of this layout: `workspace`, `imports`, `repos` and `.claude` for `agent`' -r -f -a "agent\t''"
complete -c stead -n "__fish_stead_using_subcommand create" -l import -d 'Copy this file or folder into the tree; repeatable' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l identity -d 'Commit as this author and committer' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l env -d 'Set this variable in every run; repeatable' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l limit -d 'Limit what every run consumes: `memory=4G,cpus=2,pids=512`; see `exec`' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l ports -d 'Reserve this many ports; runs find them in PORT and `STEAD_PORT_n`' -r
complete -c stead -n "__fish_stead_using_subcommand create" -s j -l jobs -d 'Make this many at once; as many as there are processors when left out' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand create" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand create" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand create" -l empty -d 'Make them without a repository'
complete -c stead -n "__fish_stead_using_subcommand create" -l ephemeral -d 'Add the time to the name and collect it as soon as it is idle and its work delivered'
complete -c stead -n "__fish_stead_using_subcommand create" -l with-changes -d 'Bring the uncommitted changes of a local project along'
complete -c stead -n "__fish_stead_using_subcommand create" -l reuse -d 'Take a workspace that exists as it is'
complete -c stead -n "__fish_stead_using_subcommand create" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand create" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand create" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand create" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand clone" -s b -l branch -d 'Check out this branch, tag or request (`pr/123`, `mr/123`); a name that is new becomes a branch' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l base -d 'Start a new branch at this branch, tag or commit' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l depth -d 'Fetch only the last N commits of each branch' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l ttl -d 'Let it expire this long after its last use (`24h`, `7d`)' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l layout -d 'Make the directories of this layout: `workspace`, `imports`, `repos` and `.claude` for `agent`' -r -f -a "agent\t''"
complete -c stead -n "__fish_stead_using_subcommand clone" -l import -d 'Copy this file or folder into the tree; repeatable' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l identity -d 'Commit as this author and committer' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l env -d 'Set this variable in every run; repeatable' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l limit -d 'Limit what every run consumes: `memory=4G,cpus=2,pids=512`; see `exec`' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l ports -d 'Reserve this many ports; runs find them in PORT and `STEAD_PORT_n`' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l into -d 'Put the repository into this workspace instead of making one' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l dest -d 'Where it goes in the tree; `repos/` and the source\'s name when left out' -r -F
complete -c stead -n "__fish_stead_using_subcommand clone" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand clone" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand clone" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand clone" -l ephemeral -d 'Add the time to the name and collect it as soon as it is idle and its work delivered'
complete -c stead -n "__fish_stead_using_subcommand clone" -l with-changes -d 'Bring the uncommitted changes of a local project along'
complete -c stead -n "__fish_stead_using_subcommand clone" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand clone" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand clone" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand clone" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand clone" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand exec" -s a -l agent -d 'Run the command of this agent' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -s m -l message -l prompt -d 'Give this text as the prompt; `-` reads it from stdin' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l message-file -d 'Give the content of this file as the prompt' -r -F
complete -c stead -n "__fish_stead_using_subcommand exec" -l context -d 'Copy this file or folder into the tree before the start' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l timeout -d 'End the run after this long' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l idle-timeout -d 'End the run when it prints nothing for this long' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l wait -d 'Wait until nobody else works in the workspace, at most this long' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l from -d 'Make a missing workspace of this source' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l env -d 'Set a variable for the command' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l pass-env -d 'Pass a variable of yours on; `*` at the end stands for the rest of its name' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l secret -d 'Pass a secret on, and take it out of the output and of all records' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l identity -d 'Author and committer of the commits that the run makes' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l limit -d 'Limit what the run consumes: `memory=4G,cpus=2,pids=512,file-size=1G,open-files=1024,disk-free=1G`' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l isolation -d 'Choose how the run is kept from everything else' -r -f -a "auto\t'The best that the host can do'
namespaces\t'User, mount, process and IPC namespaces of its own'
landlock\t'Landlock and seccomp'
container\t'A container of docker or podman, of the image that `[container]` in the configuration names'
none\t'No wall: the command may do whatever you may'"
complete -c stead -n "__fish_stead_using_subcommand exec" -l net -d 'Choose whether the command may use the network' -r -f -a "on\t''
off\t''"
complete -c stead -n "__fish_stead_using_subcommand exec" -l share -d 'Give the run something of yours: `ssh-agent`, `ssh-keys`' -r -f -a "ssh-agent\t'The socket of the SSH agent: the run can use its keys, not read them'
ssh-keys\t'`~/.ssh`, to read: settings, known hosts and keys'"
complete -c stead -n "__fish_stead_using_subcommand exec" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand exec" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand exec" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand exec" -l empty -d 'Make a missing workspace empty'
complete -c stead -n "__fish_stead_using_subcommand exec" -l create -d 'Make a missing workspace although its name looks like a typing error'
complete -c stead -n "__fish_stead_using_subcommand exec" -l no-create -d 'Fail when the workspace is missing'
complete -c stead -n "__fish_stead_using_subcommand exec" -l content -d 'Add the contents of changed files to the JSON answer'
complete -c stead -n "__fish_stead_using_subcommand exec" -l keep-git-config -d 'Leave in `.git` what would run commands'
complete -c stead -n "__fish_stead_using_subcommand exec" -s n -l dry-run -d 'Show what would be run'
complete -c stead -n "__fish_stead_using_subcommand exec" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand exec" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand exec" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand exec" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand status" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand status" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand status" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand status" -l stats -d 'Add sizes, numbers of files, and what a run uses now'
complete -c stead -n "__fish_stead_using_subcommand status" -l summary -d 'Show totals over all workspaces instead of each'
complete -c stead -n "__fish_stead_using_subcommand status" -l porcelain -d 'Print one line of fields separated by tabs for each, which stays the same between versions'
complete -c stead -n "__fish_stead_using_subcommand status" -s z -l null -d 'Like `--porcelain`, but end each line with a NUL byte and quote nothing'
complete -c stead -n "__fish_stead_using_subcommand status" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand status" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand status" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand status" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand ls" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand ls" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand ls" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand ls" -l stats -d 'Add sizes, numbers of files, and what a run uses now'
complete -c stead -n "__fish_stead_using_subcommand ls" -l summary -d 'Show totals over all workspaces instead of each'
complete -c stead -n "__fish_stead_using_subcommand ls" -l porcelain -d 'Print one line of fields separated by tabs for each, which stays the same between versions'
complete -c stead -n "__fish_stead_using_subcommand ls" -s z -l null -d 'Like `--porcelain`, but end each line with a NUL byte and quote nothing'
complete -c stead -n "__fish_stead_using_subcommand ls" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand ls" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand ls" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand ls" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand sync" -l to -d 'Bring the work to the project, or to the one at PATH, as branch `stead/NAME`' -r -F
complete -c stead -n "__fish_stead_using_subcommand sync" -l from -d 'Bring the new commits and the uncommitted work of the project at PATH into the workspace' -r -F
complete -c stead -n "__fish_stead_using_subcommand sync" -l as -d 'With --push: push to this branch' -r
complete -c stead -n "__fish_stead_using_subcommand sync" -l snapshot -d 'Go on only if the tree is still the snapshot that `diff` printed' -r
complete -c stead -n "__fish_stead_using_subcommand sync" -s m -l message -d 'The message of the commit for uncommitted work' -r
complete -c stead -n "__fish_stead_using_subcommand sync" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand sync" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand sync" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand sync" -l apply -d 'With --to: bring the work into the working tree or plain folder itself'
complete -c stead -n "__fish_stead_using_subcommand sync" -l push -d 'Push the work to origin as branch `stead/NAME`'
complete -c stead -n "__fish_stead_using_subcommand sync" -l merge -d 'Merge a branch that has diverged from upstream'
complete -c stead -n "__fish_stead_using_subcommand sync" -l rebase -d 'Rebase a branch that has diverged from upstream'
complete -c stead -n "__fish_stead_using_subcommand sync" -l allow-exec -d 'Let files across that run code when opened, and links that lead outside'
complete -c stead -n "__fish_stead_using_subcommand sync" -l keep-git-config -d 'Leave in `.git` what would run commands'
complete -c stead -n "__fish_stead_using_subcommand sync" -s n -l dry-run -d 'Show what would be done'
complete -c stead -n "__fish_stead_using_subcommand sync" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand sync" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand sync" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand sync" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand sync" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand gc" -l max-age -d 'Take workspaces that were not used for this long (`24h`, `7d`)' -r
complete -c stead -n "__fish_stead_using_subcommand gc" -l max-size -d 'Take those unused for the longest time until the root is no larger than this (`512M`, `4G`)' -r
complete -c stead -n "__fish_stead_using_subcommand gc" -l watch -d 'Collect again and again, with a pause of this length' -r
complete -c stead -n "__fish_stead_using_subcommand gc" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand gc" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand gc" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand gc" -s n -l dry-run -d 'Say what would be done and do nothing'
complete -c stead -n "__fish_stead_using_subcommand gc" -l all -d 'Take idle workspaces of any age'
complete -c stead -n "__fish_stead_using_subcommand gc" -l purge -d 'Empty the trash now'
complete -c stead -n "__fish_stead_using_subcommand gc" -l all-users -d 'Collect for all users of this root, not only for the one that `--user` names'
complete -c stead -n "__fish_stead_using_subcommand gc" -s y -l yes -d 'Answer every question with yes'
complete -c stead -n "__fish_stead_using_subcommand gc" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand gc" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand gc" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand gc" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand diff" -l run -d 'Show what one run changed (`last` for the last one)' -r
complete -c stead -n "__fish_stead_using_subcommand diff" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand diff" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand diff" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand diff" -l dirty -d 'Compare with the workspace\'s head rather than with its base'
complete -c stead -n "__fish_stead_using_subcommand diff" -s p -l patch -d 'Show a patch that `git apply` takes'
complete -c stead -n "__fish_stead_using_subcommand diff" -l stat -d 'Show how much changed in each file'
complete -c stead -n "__fish_stead_using_subcommand diff" -l name-only -d 'Show paths only'
complete -c stead -n "__fish_stead_using_subcommand diff" -s z -l null -d 'End each field with a NUL byte and quote nothing'
complete -c stead -n "__fish_stead_using_subcommand diff" -l content -d 'Add the contents of changed files to the JSON answer'
complete -c stead -n "__fish_stead_using_subcommand diff" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand diff" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand diff" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand diff" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand log" -s l -l limit -d 'Show at most so many' -r
complete -c stead -n "__fish_stead_using_subcommand log" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand log" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand log" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand log" -l audit -d 'Show who did what instead of the runs'
complete -c stead -n "__fish_stead_using_subcommand log" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand log" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand log" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand log" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand undo" -l apply -d 'Take back what was last applied to the project, or to the directory at PATH, instead' -r -F
complete -c stead -n "__fish_stead_using_subcommand undo" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand undo" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand undo" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand undo" -s n -l dry-run -d 'Show what would be put back'
complete -c stead -n "__fish_stead_using_subcommand undo" -l keep-git-config -d 'Leave in `.git` what would run commands'
complete -c stead -n "__fish_stead_using_subcommand undo" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand undo" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand undo" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand undo" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand rm" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand rm" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand rm" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand rm" -s f -l force -d 'Remove it although it holds unsaved work'
complete -c stead -n "__fish_stead_using_subcommand rm" -s n -l dry-run -d 'Say what would be done and do nothing'
complete -c stead -n "__fish_stead_using_subcommand rm" -s y -l yes -d 'Answer every question with yes'
complete -c stead -n "__fish_stead_using_subcommand rm" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand rm" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand rm" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand rm" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand restore" -l as -d 'Give it this name' -r
complete -c stead -n "__fish_stead_using_subcommand restore" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand restore" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand restore" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand restore" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand restore" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand restore" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand restore" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand import" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand import" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand import" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand import" -l replace -d 'Replace what is there already'
complete -c stead -n "__fish_stead_using_subcommand import" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand import" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand import" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand import" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand path" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand path" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand path" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand path" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand path" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand path" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand path" -s h -l help -d 'Print help'
complete -c stead -n "__fish_stead_using_subcommand path" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -f -a "show" -d 'Show all settings, one, or one table'
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -f -a "trust" -d 'Agree to everything that a project\'s `.stead.toml` sets'
complete -c stead -n "__fish_stead_using_subcommand config; and not __fish_seen_subcommand_from show trust help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from show" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from show" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -s y -l yes -d 'Do not ask'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from trust" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show all settings, one, or one table'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "trust" -d 'Agree to everything that a project\'s `.stead.toml` sets'
complete -c stead -n "__fish_stead_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stead -n "__fish_stead_using_subcommand doctor" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand doctor" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand doctor" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand doctor" -l repair -d 'Mend what is simple'
complete -c stead -n "__fish_stead_using_subcommand doctor" -l deep -d 'Read every object of all pools and stores too; takes long'
complete -c stead -n "__fish_stead_using_subcommand doctor" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand doctor" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand doctor" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand completions" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand completions" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand completions" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand completions" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand completions" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand completions" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand completions" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand man" -l out -d 'Write all pages to this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand man" -l root -d 'Keep everything in this directory' -r -F
complete -c stead -n "__fish_stead_using_subcommand man" -l user -d 'Act for this user (a mail address or a plain name)' -r
complete -c stead -n "__fish_stead_using_subcommand man" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c stead -n "__fish_stead_using_subcommand man" -l json -d 'Answer with one JSON object'
complete -c stead -n "__fish_stead_using_subcommand man" -s q -l quiet -d 'Say only what went wrong'
complete -c stead -n "__fish_stead_using_subcommand man" -s v -l verbose -d 'Say more'
complete -c stead -n "__fish_stead_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stead -n "__fish_stead_using_subcommand man" -s V -l version -d 'Print version'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "create" -d 'Make new workspaces'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "clone" -d 'Make a workspace of a repository, or bring it up to date'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "exec" -d 'Run an agent or a command in a workspace, then print what changed'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "status" -d 'Show the state of one, some or all workspaces'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "sync"
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "gc" -d 'Collect what is expired, orphaned or half-made'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "diff" -d 'Show the changes of a workspace'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "log" -d 'Show runs and events'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "undo" -d 'Put a workspace back to where it was before a run'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "rm" -d 'Move workspaces to the trash'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "restore" -d 'Bring a workspace back from the trash'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "import" -d 'Copy files or folders into a workspace'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "path" -d 'Print the path of a workspace\'s tree'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "config" -d 'Show settings and where they come from'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "doctor" -d 'Check the root, the host and the wall'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "man" -d 'Print or write the man pages'
complete -c stead -n "__fish_stead_using_subcommand help; and not __fish_seen_subcommand_from create clone exec status sync gc diff log undo rm restore import path config doctor completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stead -n "__fish_stead_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show all settings, one, or one table'
complete -c stead -n "__fish_stead_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "trust" -d 'Agree to everything that a project\'s `.stead.toml` sets'

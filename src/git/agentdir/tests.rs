use std::os::unix::fs::{PermissionsExt, symlink};

use super::config::parse;
use super::*;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const THREE: &str = "3333333333333333333333333333333333333333";

fn oid(text: &str) -> Oid {
    Oid::from_str(text).unwrap()
}

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join(".git/refs/heads")).unwrap();
    put(dir.path(), ".git/HEAD", "ref: refs/heads/main\n");
    dir
}

#[expect(clippy::disallowed_methods, reason = "a file of a test")]
fn put(dir: &Path, path: &str, content: &str) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn read_refs(dir: &tempfile::TempDir) -> AgentRefs {
    refs(&Dir::open(dir.path()).unwrap())
}

fn held(dir: &tempfile::TempDir) -> Vec<String> {
    held_config(&Dir::open(dir.path()).unwrap())
}

#[test]
fn loose_refs_win_over_packed_ones() {
    let dir = tree();
    put(
        dir.path(),
        ".git/packed-refs",
        &format!(
            "# pack-refs with: peeled fully-peeled sorted \n{ONE} refs/heads/main\n{TWO} refs/tags/v1\n^{THREE}\n{ONE} refs/remotes/origin/main\n"
        ),
    );
    put(dir.path(), ".git/refs/heads/main", &format!("{THREE}\n"));
    put(dir.path(), ".git/refs/remotes/origin/HEAD", "ref: refs/remotes/origin/main\n");
    let found = read_refs(&dir);
    assert_eq!(found.bad, []);
    assert_eq!(found.head_commit(), Some(oid(THREE)));
    assert_eq!(found.find("refs/remotes/origin/HEAD"), Some(oid(ONE)));
    assert_eq!(found.tips(), [oid(THREE), oid(TWO)]);
}

#[test]
fn stash_entries_come_newest_first() {
    let dir = tree();
    put(dir.path(), ".git/refs/stash", &format!("{TWO}\n"));
    let zero = "0".repeat(40);
    put(
        dir.path(),
        ".git/logs/refs/stash",
        &format!("{zero} {ONE} A <a@b> 1 +0000\tWIP\n{ONE} {TWO} A <a@b> 2 +0000\tWIP\n"),
    );
    let found = read_refs(&dir);
    assert_eq!(found.stash, [oid(TWO), oid(ONE)]);
    assert_eq!(found.head, Head::Branch("refs/heads/main".into()));
    assert_eq!(found.head_commit(), None);
}

#[test]
fn a_rebase_under_way_is_named() {
    let dir = tree();
    put(dir.path(), ".git/HEAD", ONE);
    put(dir.path(), ".git/CHERRY_PICK_HEAD", ONE);
    put(dir.path(), ".git/rebase-merge/onto", ONE);
    let found = read_refs(&dir);
    assert_eq!(found.operation.as_deref(), Some("rebase"));
    assert_eq!(found.head, Head::Detached(oid(ONE)));
}

#[test]
fn a_detached_linked_worktree_is_a_tip() {
    let dir = tree();
    put(dir.path(), ".git/worktrees/other/HEAD", TWO);
    assert_eq!(read_refs(&dir).tips(), [oid(TWO)]);
}

#[test]
fn a_fifo_as_head_blocks_nothing() {
    let dir = tree();
    std::fs::remove_file(dir.path().join(".git/HEAD")).unwrap();
    let fifo = dir.path().join(".git/HEAD");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, 0o600.into(), 0).unwrap();
    let found = read_refs(&dir);
    assert_eq!(found.head, Head::Missing);
    assert_eq!(found.bad, [("HEAD".to_owned(), "not a regular file".to_owned())]);
}

#[test]
fn links_are_named_and_not_followed() {
    let outside = tree();
    put(outside.path(), ".git/refs/heads/main", ONE);
    let dir = tempfile::tempdir().unwrap();
    symlink(outside.path().join(".git"), dir.path().join(".git")).unwrap();
    let found = read_refs(&dir);
    assert_eq!(found.head, Head::Missing);
    assert_eq!(found.bad[0].0, ".git");
    assert_eq!(held(&dir), [".git"]);

    let dir = tree();
    symlink(outside.path().join(".git/refs/heads/main"), dir.path().join(".git/refs/heads/main")).unwrap();
    symlink(outside.path().join(".git/refs"), dir.path().join(".git/refs/more")).unwrap();
    let found = read_refs(&dir);
    assert_eq!(found.refs, []);
    let mut names: Vec<_> = found.bad.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["refs/heads/main", "refs/more"]);
}

#[test]
fn a_git_file_that_points_elsewhere_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), ".git", "gitdir: /somewhere\n");
    assert_eq!(read_refs(&dir).bad[0].0, ".git");
}

#[test]
fn a_huge_packed_refs_is_named_and_not_read() {
    let dir = tree();
    let file = std::fs::File::create(dir.path().join(".git/packed-refs")).unwrap();
    file.set_len(MAX_PACKED + 1).unwrap();
    assert_eq!(read_refs(&dir).bad[0].0, "packed-refs");
}

#[test]
fn bad_names_and_values_do_not_hide_good_ones() {
    let dir = tree();
    put(dir.path(), ".git/refs/heads/good", ONE);
    put(dir.path(), ".git/refs/heads/bad", "nonsense");
    put(dir.path(), ".git/refs/heads/a b", ONE);
    put(dir.path(), ".git/refs/heads/main.lock", ONE);
    put(dir.path(), ".git/refs/heads/loop", "ref: refs/heads/loop");
    let found = read_refs(&dir);
    assert_eq!(found.refs, [("refs/heads/good".to_owned(), oid(ONE))]);
    assert_eq!(found.bad.len(), 2);
}

#[test]
fn configuration_is_read_as_git_reads_it() {
    let text = br#"
# comment
[core] bare = false ; comment
	FsMonitor = "a \"b\"; c" # comment
[Filter "Some.Name\\x"]
	clean = one \
two
	required
[url.old]
	InsteadOf=x
"#;
    let (entries, broken) = parse(text);
    assert_eq!(broken, None);
    let shown: Vec<_> = entries.iter().map(|entry| (entry.name(), entry.value.as_deref())).collect();
    assert_eq!(
        shown,
        [
            ("core.bare".to_owned(), Some("false")),
            ("core.fsmonitor".to_owned(), Some("a \"b\"; c")),
            ("filter.Some.Name\\x.clean".to_owned(), Some("one two")),
            ("filter.Some.Name\\x.required".to_owned(), None),
            ("url.old.insteadof".to_owned(), Some("x")),
        ]
    );
    assert_eq!(parse(b"[core]\nx = \"open\n").1, Some(2));
    assert_eq!(parse(b"key = 1\n").1, Some(1));
}

#[test]
fn what_runs_commands_is_held() {
    let dir = tree();
    put(
        dir.path(),
        ".git/config",
        r#"[core]
	repositoryformatversion = 0
	fsmonitor = false
	hooksPath = /x
[remote "origin"]
	url = https://example.com/x
	fetch = +refs/heads/*:refs/remotes/origin/*
	uploadpack = evil
[remote "ext"]
	url = ext::sh -c evil
[user]
	name = A
[alias]
	st = status
	x = !evil
[pager]
	log = false
	diff = evil
[credential "https://x"]
	helper = !evil
[includeIf "gitdir:/x"]
	path = /y
"#,
    );
    put(dir.path(), ".git/hooks/pre-commit", "#!/bin/sh\n");
    put(dir.path(), ".git/hooks/post-commit", "#!/bin/sh\n");
    put(dir.path(), ".git/hooks/update.sample", "#!/bin/sh\n");
    for name in ["pre-commit", "update.sample"] {
        let path = dir.path().join(".git/hooks").join(name);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    put(dir.path(), ".git/modules/a/b/HEAD", ONE);
    put(dir.path(), ".git/modules/a/b/config", "[core]\n\tfsmonitor = evil\n");
    assert_eq!(
        held(&dir),
        [
            "alias.x",
            "core.hookspath",
            "credential.https://x.helper",
            "hooks/pre-commit",
            "includeif.gitdir:/x.path",
            "modules/a/b/core.fsmonitor",
            "pager.diff",
            "remote.ext.url",
            "remote.origin.uploadpack",
        ]
    );
}

#[test]
fn a_fifo_as_configuration_is_held() {
    let dir = tree();
    let fifo = dir.path().join(".git/config");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(held(&dir), ["config (not a regular file)"]);
}

#[test]
fn each_key_that_runs_something_is_held_and_its_neighbours_are_not() {
    // After git-config(1) and the pages that it points to; each line with a value that git would run, open or follow.
    let runs = "
        core.fsmonitor=evil core.hookspath=/x core.sshcommand=evil core.editor=evil core.pager=evil core.askpass=evil
        core.gitproxy=evil core.alternaterefscommand=evil core.worktree=/x core.attributesfile=/x core.excludesfile=/x
        credential.helper=evil credential.https://h.helper=!evil
        diff.external=evil diff.d.command=evil diff.d.textconv=evil difftool.t.cmd=evil difftool.t.path=/x
        filter.f.clean=evil filter.f.smudge=evil filter.f.process=evil
        merge.m.driver=evil mergetool.t.cmd=evil mergetool.t.path=/x guitool.t.cmd=evil
        gpg.program=evil gpg.openpgp.program=evil gpg.x509.program=evil gpg.ssh.program=evil
        gpg.ssh.defaultkeycommand=evil
        sequence.editor=evil interactive.difffilter=evil pager.log=evil trailer.t.cmd=evil trailer.t.command=evil
        sendemail.tocmd=evil sendemail.sendmailcmd=evil sendemail.smtpserver=/x sendemail.aliasesfile=/x
        uploadpack.packobjectshook=evil
        remote.r.uploadpack=evil remote.r.receivepack=evil remote.r.vcs=evil remote.r.proxy=evil
        remote.r.url=ext::evil remote.r.pushurl=fd::7 remote.r.url=ssh://-oProxyCommand=evil/x
        url.evil.insteadof=https:// url.evil.pushinsteadof=https:// protocol.ext.allow=always protocol.allow=always
        include.path=/x includeif.gitdir:/x.path=/y
        alias.x=!evil alias.y=-c\x20core.pager=evil
        browser.b.cmd=evil browser.b.path=/x man.m.cmd=evil man.m.path=/x web.browser=evil
        instaweb.httpd=evil instaweb.browser=evil imap.tunnel=evil tar.t.command=evil hook.h.command=evil
        submodule.s.update=!evil submodule.s.url=ext::evil
        extensions.worktreeconfig=true init.templatedir=/x lfs.extension.e.clean=evil lfs.extension.e.smudge=evil";
    let harmless = "
        core.fsmonitor=false core.autocrlf=input core.filemode=false user.name=A alias.st=status pager.log=false
        extensions.worktreeconfig=false remote.r.url=https://h/x remote.r.fetch=+refs/heads/*:refs/remotes/r/*
        remote.r.url=git@h:x submodule.s.update=rebase submodule.s.url=../x branch.b.merge=refs/heads/b
        diff.algorithm=histogram merge.conflictstyle=zdiff3 gpg.format=ssh trailer.t.key=Acked-by tar.umask=0022
        credential.username=a credential.https://h.username=a commit.gpgsign=true";
    for (list, expected) in [(runs, true), (harmless, false)] {
        for line in list.split_whitespace() {
            let (name, value) = line.split_once('=').unwrap();
            let (section, rest) = name.split_once('.').unwrap();
            let (head, key) = match rest.rsplit_once('.') {
                Some((subsection, key)) => (format!("[{section} \"{subsection}\"]"), key),
                None => (format!("[{section}]"), rest),
            };
            let dir = tree();
            put(dir.path(), ".git/config", &format!("{head}\n{key} = \"{}\"\n", value.replace(r"\x20", " ")));
            let found = held(&dir);
            assert_eq!(found.iter().any(|held| held == name), expected, "{line}: {found:?}");
        }
    }
}

#[test]
fn linked_worktrees_that_are_too_many_are_named() {
    let dir = tree();
    for number in 0..=1000 {
        put(dir.path(), &format!(".git/worktrees/{number}/HEAD"), ONE);
    }
    let bad = [("worktrees".to_owned(), "more than 1000 linked worktrees".to_owned())];
    assert_eq!(read_refs(&dir).bad, bad);
    crate::store::fs::remove_tree(&dir.path().join(".git/worktrees/7"), &crate::progress::Silent).unwrap();
    assert_eq!(read_refs(&dir).bad, []);
}

#[test]
fn nested_repositories_are_held_to_the_same_and_their_git_files_to_the_tree() {
    let dir = tree();
    let held = |top: &str| held_nested(&Dir::open(dir.path()).unwrap(), dir.path(), Path::new(top));
    let none: [String; 0] = [];
    assert_eq!(held("none"), none);
    put(dir.path(), "a/.git/HEAD", ONE);
    put(dir.path(), "a/.git/config", "[core]\n\tbare = false\n\tfsmonitor = x\n\tworktree = ../../b\n");
    put(dir.path(), "a/.git/modules/m/HEAD", ONE);
    put(dir.path(), "a/.git/modules/m/config", "[core]\n\tworktree = ../../../m\n\tpager = x\n");
    assert_eq!(held("a"), ["a/.git/core.fsmonitor", "a/.git/core.worktree", "a/.git/modules/m/core.pager"]);
    for module in [".git/modules/s/t", "evil", ".git/modules/s/t/evil", ".git/modules/s/t/modules/u"] {
        put(dir.path(), &format!("{module}/HEAD"), ONE);
    }
    for (worktree, common) in [("w", "../..\n"), ("v", "../../../evil\n")] {
        put(dir.path(), &format!(".git/worktrees/{worktree}/HEAD"), ONE);
        put(dir.path(), &format!(".git/worktrees/{worktree}/commondir"), common);
    }
    symlink(dir.path(), dir.path().join("link")).unwrap();
    let absolute = format!("{}/.git/worktrees/w", dir.path().display());
    for (target, is_held) in [
        ("../../.git/modules/s/t", false),
        ("../../.git/modules/s/t/modules/u", false),
        ("../../.git/modules/s/t/evil", true),
        ("../../.git/modules/s", true),
        ("../../.git/worktrees/w", false),
        (absolute.as_str(), false),
        ("../../.git/worktrees/v", true),
        ("../../a/.git/modules/m", true),
        ("../../link/.git/modules/s/t", true),
        ("../../evil", true),
        ("../../.git", true),
        ("../../../x/.git/modules/s/t", true),
        ("/etc", true),
    ] {
        put(dir.path(), "b/c/.git", &format!("gitdir: {target}\n"));
        assert_eq!(!held("b/c").is_empty(), is_held, "{target}");
    }
    put(dir.path(), "a/d/.git", "gitdir: ../.git/modules/m\n");
    assert_eq!(held("a/d"), none);
    symlink("/etc", dir.path().join("a/e")).unwrap();
    assert_eq!(held("a/e"), none, "what is behind a link is not in the tree");
}

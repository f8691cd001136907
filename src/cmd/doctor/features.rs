//! What a wall and limits can be made of on this host, and one line of advice for each piece that is missing.

use std::path::{Path, PathBuf};

use crate::cmd::doctor::{Check, Status};
use crate::confine::cgroup;
use crate::run::policy::{self, Enforced, Wall};
use crate::sys;

/// What the kernel says of itself.
struct Host {
    /// `/`, unless a test has made another one.
    files: PathBuf,
    landlock: Option<u32>,
    /// Where cgroups with all controllers can be made, and where those without processors.
    cgroups: [Option<PathBuf>; 2],
}

pub(super) fn checks() -> Vec<Check> {
    let host = Host {
        files: "/".into(),
        landlock: sys::landlock_abi(),
        cgroups: [cgroup::place(&["memory", "pids", "cpu"]), cgroup::place(&["memory", "pids"])],
    };
    host.checks()
}

impl Host {
    fn checks(&self) -> Vec<Check> {
        vec![self.namespaces(), self.landlock(), self.overlayfs(), self.cgroup()]
    }

    fn namespaces(&self) -> Check {
        let no = |message: &str, hint: &str| Check::new("namespaces", Status::Info, message).hint(hint);
        if !self.files.join("proc/self/ns/user").exists() {
            return no("the kernel has no user namespaces", "it takes one built with CONFIG_USER_NS");
        }
        if self.number("proc/sys/user/max_user_namespaces") == Some(0) {
            return no(
                "`user.max_user_namespaces` is 0: there may be no user namespace",
                "run `sysctl -w user.max_user_namespaces=15000`, and put it into /etc/sysctl.d to keep it",
            );
        }
        let is_root =
            self.text("proc/self/status").is_some_and(|text| text.lines().any(|line| line == "Uid:\t0\t0\t0\t0"));
        if !is_root && self.number("proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
            return no(
                "`kernel.unprivileged_userns_clone` is 0: only root may make user namespaces",
                "run `sysctl -w kernel.unprivileged_userns_clone=1`, and put it into /etc/sysctl.d to keep it",
            );
        }
        if !is_root && self.number("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
            return no(
                "AppArmor takes the rights in user namespaces away (`kernel.apparmor_restrict_unprivileged_userns`)",
                "allow it to stead: write `abi <abi/4.0>, include <tunables/global> profile stead /PATH/TO/stead \
                 flags=(unconfined) { userns, }` to /etc/apparmor.d/stead and run `apparmor_parser -r /etc/apparmor.d/stead`",
            );
        }
        if self.is_container() && self.is_filtered() {
            return no(
                "the kernel allows user namespaces; the container's system call filter may not",
                "start the container with `--security-opt seccomp=unconfined`, or with a profile that allows `unshare`, \
                 `clone`, `mount` and `pivot_root`",
            );
        }
        Check::new("namespaces", Status::Ok, "the kernel's settings allow user namespaces")
    }

    fn landlock(&self) -> Check {
        if let Some(version) = self.landlock {
            let open = policy::left_open(Wall::Landlock, Enforced { version });
            return match open.iter().find(|what| what.starts_with("signals")) {
                None => Check::new("landlock", Status::Ok, format!("ABI {version}")),
                Some(what) => Check::new(
                    "landlock",
                    Status::Info,
                    format!("ABI {version}: where it is the only wall, it does not stop {what}"),
                ),
            };
        }
        let (message, hint) = match self.text("sys/kernel/security/lsm") {
            Some(modules) if modules.trim().split(',').any(|module| module == "landlock") => (
                "the kernel has it, and a system call filter hides it",
                "start the container with `--security-opt seccomp=unconfined`, or with a newer container engine",
            ),
            Some(_) => (
                "it is off",
                "add `landlock` to `lsm=` of the kernel's command line (`cat /sys/kernel/security/lsm` shows what is on)",
            ),
            None => ("the kernel has none, or it is off", "it takes Linux 5.13, with `landlock` in `lsm=`"),
        };
        Check::new("landlock", Status::Info, message).hint(hint)
    }

    fn overlayfs(&self) -> Check {
        let known = self.text("proc/filesystems").unwrap_or_default();
        if !known.lines().any(|line| line.split_ascii_whitespace().last() == Some("overlay")) {
            return Check::new(
                "overlayfs",
                Status::Info,
                "the kernel has none loaded: package caches start empty in a run",
            )
            .hint("run `modprobe overlay`");
        }
        let release = self.text("proc/sys/kernel/osrelease").unwrap_or_default();
        let mut parts = release.split(['.', '-']).map(|part| part.trim().parse::<u32>().unwrap_or_default());
        if (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) < (5, 11) {
            return Check::new(
                "overlayfs",
                Status::Info,
                "not in user namespaces: package caches start empty in a run",
            )
            .hint("it takes Linux 5.11");
        }
        Check::new("overlayfs", Status::Ok, "the kernel has it")
    }

    fn cgroup(&self) -> Check {
        let no = |message: String, hint: &str| Check::new("cgroup", Status::Info, message).hint(hint);
        let delegate = "start stead by `systemd-run --user --scope -p Delegate=yes stead ...`, or set `Delegate=yes` in \
                        the unit that runs it";
        match &self.cgroups {
            [Some(path), _] => Check::new("cgroup", Status::Ok, format!("{} is delegated", path.display())),
            [None, Some(path)] => no(
                format!("{} is delegated without processors: `cpus` cannot be limited", path.display()),
                "set `Delegate=cpu cpuset io memory pids` for user@.service, see systemd.resource-control(5)",
            ),
            [None, None] => {
                let what = "memory and processes are limited by looking at them, and `cpus` cannot be limited";
                let has =
                    |controllers: &str, name: &str| controllers.split_ascii_whitespace().any(|other| other == name);
                let controllers = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
                    .iter()
                    .find_map(|mount| self.text(&format!("{mount}/cgroup.controllers")));
                match controllers {
                    // What is still in version 1 is missing here.
                    Some(controllers) if ["memory", "pids"].iter().any(|name| has(&controllers, name)) => {
                        no(format!("none is delegated: {what}"), delegate)
                    }
                    _ => no(
                        format!("the controllers are not in version 2: {what}"),
                        "boot with `systemd.unified_cgroup_hierarchy=1` on the kernel's command line",
                    ),
                }
            }
        }
    }

    fn is_container(&self) -> bool {
        ["run/.containerenv", ".dockerenv"].iter().any(|file| self.files.join(file).exists())
    }

    /// Returns whether this process is under a system call filter.
    fn is_filtered(&self) -> bool {
        self.text("proc/self/status").is_some_and(|text| text.lines().any(|line| line == "Seccomp:\t2"))
    }

    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.files.join(Path::new(path))).ok()
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.trim().parse().ok()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests {
    use super::*;

    /// Returns the checks of a host that has everything, but for what `files` say.
    fn checks(files: &[(&str, &str)], landlock: Option<u32>, cgroups: [Option<PathBuf>; 2]) -> Vec<Check> {
        let dir = tempfile::tempdir().unwrap();
        let usual = [
            ("proc/self/ns/user", ""),
            ("proc/self/status", "Uid:\t1000\t1000\t1000\t1000\nSeccomp:\t0\n"),
            ("proc/filesystems", "nodev\tproc\nnodev\toverlay\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"),
        ];
        for (path, content) in usual.iter().chain(files) {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Host { files: dir.path().to_owned(), landlock, cgroups }.checks()
    }

    #[test]
    fn a_host_that_has_everything_needs_no_advice() {
        let checks = checks(&[], Some(6), [Some("/c".into()), None]);
        assert!(checks.iter().all(|check| check.status == Status::Ok && check.hint.is_none()), "{checks:?}");
    }

    #[test]
    fn a_landlock_that_does_not_stop_signals_is_told() {
        let checks = checks(&[], Some(5), [None, None]);
        let check = checks.iter().find(|check| check.name == "landlock").unwrap();
        assert_eq!(check.status, Status::Info);
        assert!(check.message.contains("ABI 5") && check.message.contains("signals"), "{check:?}");
    }

    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

    #[test]
    fn each_missing_piece_has_its_advice() {
        let container = "Uid:\t1000\t1000\t1000\t1000\nSeccomp:\t2\n";
        let cases: [Case<'_>; 9] = [
            (&[("proc/sys/user/max_user_namespaces", "0\n")], "namespaces", "user.max_user_namespaces=15000"),
            (&[("proc/sys/kernel/unprivileged_userns_clone", "0\n")], "namespaces", "unprivileged_userns_clone=1"),
            (
                &[("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")],
                "namespaces",
                "/etc/apparmor.d/stead",
            ),
            (&[(".dockerenv", ""), ("proc/self/status", container)], "namespaces", "seccomp=unconfined"),
            (&[("sys/kernel/security/lsm", "capability,yama\n")], "landlock", "`lsm=`"),
            (&[("proc/filesystems", "nodev\tproc\n")], "overlayfs", "modprobe overlay"),
            (&[], "cgroup", "Delegate=yes"),
            (&[("sys/fs/cgroup/cgroup.controllers", "\n")], "cgroup", "unified_cgroup_hierarchy=1"),
            (&[("sys/fs/cgroup/cgroup.controllers", "hugetlb\n")], "cgroup", "unified_cgroup_hierarchy=1"),
        ];
        for (files, name, advice) in cases {
            let checks = checks(files, None, [None, None]);
            let check = checks.iter().find(|check| check.name == name).unwrap();
            assert_eq!(check.status, Status::Info, "{name}");
            assert!(check.hint.as_ref().is_some_and(|hint| hint.contains(advice)), "{advice}: {check:?}");
        }
    }
}

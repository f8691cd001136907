//! What a run sees of itself: capabilities, filters, namespaces, environment.

use std::io;
use std::path::PathBuf;

use super::scene::{PLANTED, PROBE, Told};
use super::table::{Answer, Open, Row, WORKS, row};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "no capability can be used",
            |told| status("self", &["CapInh", "CapPrm", "CapEff", "CapAmb"], told),
            Open::NoWall,
            WORKS,
            WORKS,
        ),
        row("no capability can be gained", |told| status("self", &["CapBnd"], told), Open::NoWall, WORKS, WORKS),
        row(
            "no privilege is gained by execution",
            |_| field("self", "NoNewPrivs").and_then(is("1")),
            Open::NoWall,
            WORKS,
            WORKS,
        ),
        row("system calls are filtered", |_| field("self", "Seccomp").and_then(is("2")), Open::NoWall, WORKS, WORKS),
        row(
            "no signal is blocked or ignored",
            |_| {
                for name in ["SigBlk", "SigIgn"] {
                    let set = u64::from_str_radix(&field("self", name)?, 16).map_err(io::Error::other)?;
                    // The C library keeps 32 and 33 to itself; Rust's start-up ignores SIGPIPE.
                    if set & !(0b11 << 31) & !(1 << 12) != 0 {
                        return Err(io::Error::other(format!("{name} {set:x}")));
                    }
                }
                Ok(())
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "the first process has no capability and gains none",
            |told| {
                status("1", &["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], told)?;
                field("1", "NoNewPrivs").and_then(is("1"))
            },
            Open::NoWall,
            WORKS,
            Answer::Open,
        ),
        row(
            "only processes of the run are seen",
            |_| {
                let seen: Vec<u32> = std::fs::read_dir("/proc")?
                    .flatten()
                    .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                    .collect();
                if seen.len() <= 2 { Ok(()) } else { Err(io::Error::other(format!("{seen:?}"))) }
            },
            Open::NoWall,
            WORKS,
            Answer::Open,
        ),
        row(
            "the namespaces are the run's own",
            |told| {
                let own = ["user", "mnt", "pid", "ipc", "uts"];
                apart(told, |name| own.contains(&name))
            },
            Open::NoWall,
            WORKS,
            Answer::Open,
        ),
        row(
            "nothing is passed on but what is listed",
            |_| {
                let passed = std::env::vars().any(|(name, value)| {
                    name != PROBE && (name == PLANTED.0 || name == "SSH_AUTH_SOCK" || value.contains(PLANTED.1))
                });
                if passed { Err(io::Error::other("the planted variable is there")) } else { Ok(()) }
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "the variables of the run are there",
            |told| {
                let value = |name: &str| std::env::var(name).unwrap_or_default();
                let right = value("STEAD_WORKSPACE") == "x"
                    && told.tree.as_os_str() == value("PWD").as_str()
                    && !value("PATH").is_empty();
                if right { Ok(()) } else { Err(io::Error::other(format!("{:?}", std::env::vars()))) }
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "the directory is the tree",
            |told| {
                let here = std::env::current_dir()?;
                if here == told.tree { Ok(()) } else { Err(io::Error::other(here.display().to_string())) }
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "the user is the same",
            |told| {
                let uid = rustix::process::getuid().as_raw();
                if uid == told.uid { Ok(()) } else { Err(io::Error::other(uid.to_string())) }
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
    ]
}

/// Returns the namespaces of this process.
pub(super) fn namespaces() -> Vec<(String, PathBuf)> {
    let names = ["user", "mnt", "pid", "ipc", "uts", "net"];
    let link = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
    names.map(|name| (name.to_owned(), link(name))).to_vec()
}

fn apart(told: &Told, own: impl Fn(&str) -> bool) -> io::Result<()> {
    let now = namespaces();
    let wrong: Vec<&str> = now
        .iter()
        .zip(&told.namespaces)
        .filter(|((name, now), (_, outside))| (now != outside) != own(name))
        .map(|((name, _), _)| name.as_str())
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(io::Error::other(wrong.join(", "))) }
}

fn field(process: &str, name: &str) -> io::Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.ok_or_else(|| io::Error::other(format!("no {name}")))?.trim().to_owned())
}

fn is(wanted: &'static str) -> impl FnOnce(String) -> io::Result<()> {
    move |value| if value == wanted { Ok(()) } else { Err(io::Error::other(value)) }
}

fn status(process: &str, names: &[&str], told: &Told) -> io::Result<()> {
    for name in names {
        // Without a user namespace only root can take from what can be gained; that nothing is gained holds for all.
        let inside = std::fs::read_link("/proc/self/ns/user")? != told.namespaces[0].1;
        if *name == "CapBnd" && !inside && told.uid != 0 {
            continue;
        }
        field(process, name).and_then(is("0000000000000000"))?;
    }
    Ok(())
}

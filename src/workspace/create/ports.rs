//! Ports of a workspace: from the configured range, no two workspaces of a root the same, each tried by binding it.

use std::net::{Ipv4Addr, TcpListener};

use crate::config::Config;
use crate::error::{Failure, Kind, Result};
use crate::store::lease::{Lease, Wait};
use crate::store::root::UserRoot;
use crate::workspace::record::Record;
use crate::workspace::{Listed, Workspace};

const DEFAULT_RANGE: (u16, u16) = (10000, 10100);

/// Puts `count` free ports into the record. They are reserved by the record alone: keep the lease until it is in place.
pub(super) fn reserve(at: &UserRoot, count: usize, config: &Config, record: &mut Record) -> Result<Option<Lease>> {
    if count == 0 {
        return Ok(None);
    }
    let (first, last) = range(config)?;
    let lease = Lease::acquire(&at.root().ports_lock(), "the list of ports", "create", Wait::Forever)?;
    let mut taken = Vec::new();
    for user in at.root().users()? {
        for listed in Workspace::all(&user)? {
            if let Listed::Whole(workspace) = listed {
                taken.extend(workspace.record.ports);
            }
        }
    }
    record.ports = (first..=last).filter(|port| !taken.contains(port) && is_free(*port)).take(count).collect();
    if record.ports.len() < count {
        return Err(Failure::new(
            Kind::Failed,
            format!("only {} of {count} ports are free between {first} and {last}", record.ports.len()),
        )
        .hint("widen the range with WORKSPACE_PORT_RANGE_START and WORKSPACE_PORT_RANGE_END, or remove workspaces")
        .into());
    }
    Ok(Some(lease))
}

fn range(config: &Config) -> Result<(u16, u16)> {
    let read = |name: &str, default: u16| -> Result<u16> {
        match config.environment.text(name) {
            Some(text) => text
                .parse()
                .map_err(|_| Failure::new(Kind::Usage, format!("{name} is `{text}`, which is no port")).into()),
            None => Ok(default),
        }
    };
    let range =
        (read("WORKSPACE_PORT_RANGE_START", DEFAULT_RANGE.0)?, read("WORKSPACE_PORT_RANGE_END", DEFAULT_RANGE.1)?);
    if range.0 > range.1 || range.0 == 0 {
        return Err(Failure::new(Kind::Usage, format!("{} to {} is no range of ports", range.0, range.1)).into());
    }
    Ok(range)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

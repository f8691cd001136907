//! Ports of a workspace: from the configured range, no two workspaces of a root the same, each tried by binding it.

use std::net::{Ipv4Addr, TcpListener};

use crate::config::Config;
use crate::error::{Failure, Kind, Result};
use crate::store::lease::{Lease, Wait};
use crate::store::root::UserRoot;
use crate::workspace::record::Record;
use crate::workspace::{Listed, Workspace};

/// Puts `count` free ports into the record. They are reserved by the record alone: keep the lease until it is in place.
pub(super) fn reserve(at: &UserRoot, count: usize, config: &Config, record: &mut Record) -> Result<Option<Lease>> {
    if count == 0 {
        return Ok(None);
    }
    let (first, last) = config.create.ports;
    let lease = Lease::acquire(&at.root().ports_lock(), "the list of ports", "create", Wait::Forever)?;
    let taken = taken(at)?;
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

/// Replaces the ports of a workspace that comes back which others have got meanwhile. Keep the lease as for [`reserve`].
pub(crate) fn renew(at: &UserRoot, (first, last): (u16, u16), record: &mut Record) -> Result<Option<Lease>> {
    if record.ports.is_empty() {
        return Ok(None);
    }
    let lease = Lease::acquire(&at.root().ports_lock(), "the list of ports", "restore", Wait::Forever)?;
    let taken = taken(at)?;
    let had = std::mem::take(&mut record.ports);
    let mut others = (first..=last).filter(|port| !taken.contains(port) && !had.contains(port) && is_free(*port));
    // Where there are no others it has fewer, and is back all the same.
    record.ports =
        had.iter().filter_map(|port| if taken.contains(port) { others.next() } else { Some(*port) }).collect();
    Ok(Some(lease))
}

/// Returns the ports of all workspaces of the root.
fn taken(at: &UserRoot) -> Result<Vec<u16>> {
    let mut taken = Vec::new();
    for user in at.root().users()? {
        for listed in Workspace::all(&user)? {
            if let Listed::Whole(workspace) = listed {
                taken.extend(workspace.record.ports);
            }
        }
    }
    Ok(taken)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

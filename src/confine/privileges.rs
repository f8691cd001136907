//! Capabilities: given up entirely and for ever, by root too.

use rustix::io::{Errno, Result};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

/// Gives up every capability of this thread and of what it executes; uid 0 gets none back by executing something.
///
/// In a user namespace whose root is mapped they would be a way out of the wall: a read-only mount can be made writable.
pub(crate) fn drop_all() -> Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let may = rustix::thread::capabilities(None)?.effective;
    rustix::thread::clear_ambient_capability_set().or_else(unknown)?;
    if may.contains(CapabilitySet::SETPCAP) {
        for bit in 0..64 {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // Past the last that this kernel has.
                Err(Errno::INVAL) => break,
                result => result?,
            }
        }
        rustix::thread::set_capabilities_secure_bits(
            CapabilitiesSecureBits::NO_ROOT
                | CapabilitiesSecureBits::NO_ROOT_LOCKED
                | CapabilitiesSecureBits::NO_SETUID_FIXUP
                | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
                | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
                | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
                | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
        )?;
    }
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

fn unknown(error: Errno) -> Result<()> {
    if error == Errno::INVAL { Ok(()) } else { Err(error) }
}

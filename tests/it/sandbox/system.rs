//! Attempts on the system's files and devices, and what a run has of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;

use super::files::{append, kept, list, made, read};
use super::table::{ACCES, Answer, NOENT, Open, ROFS, Row, WORKS, row};

pub(super) fn rows() -> Vec<Row> {
    [system(), own()].into_iter().flatten().collect()
}

fn system() -> Vec<Row> {
    const HIDDEN: Answer = ACCES;
    const NO_DEVICE: Answer = Answer::Refused(&[Errno::PERM, Errno::ACCESS]);
    vec![
        row("/etc/shadow is read", |_| read("/etc/shadow"), Open::Root, HIDDEN, HIDDEN),
        row("/etc/passwd is read", |_| read("/etc/passwd"), Open::Works, WORKS, WORKS),
        kept("/root is listed", |_| list("/root"), Open::Root),
        kept("/var/log is listed", |_| list("/var/log"), Open::Works),
        kept("/sys/class is listed", |_| list("/sys/class"), Open::Works),
        kept("/sys/fs is listed", |_| list("/sys/fs"), Open::Works),
        row("something is put into /etc", |_| made("/etc/stead-test".as_ref()), Open::BareRoot, ROFS, ACCES),
        row("something is put into /usr", |_| made("/usr/stead-test".as_ref()), Open::BareRoot, ROFS, ACCES),
        row("something is put into /", |_| made("/stead-test".as_ref()), Open::BareRoot, ROFS, ACCES),
        row(
            "a device is made",
            |told| {
                let path = told.tree.join("device");
                rustix::fs::mknodat(
                    CWD,
                    &path,
                    rustix::fs::FileType::CharacterDevice,
                    Mode::RWXU,
                    rustix::fs::makedev(1, 3),
                )?;
                std::fs::remove_file(path)
            },
            Open::BareRoot,
            NO_DEVICE,
            NO_DEVICE,
        ),
        row(
            "the kernel's log is written",
            |_| OpenOptions::new().write(true).open("/dev/kmsg").map(drop),
            Open::BareRoot,
            NOENT,
            ACCES,
        ),
        row(
            "the kernel's settings are written",
            |_| OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern").map(drop),
            Open::BareRoot,
            Answer::Refused(&[Errno::ROFS, Errno::ACCESS]),
            ACCES,
        ),
        row(
            "the kernel's keys are pressed",
            |_| OpenOptions::new().write(true).open("/proc/sysrq-trigger").map(drop),
            // Not every kernel has them.
            Open::NoWall,
            Answer::Refused(&[Errno::ROFS, Errno::ACCESS, Errno::NOENT]),
            Answer::Refused(&[Errno::ACCESS, Errno::NOENT]),
        ),
        row(
            "the kernel's addresses are read",
            |_| read("/proc/vmallocinfo"),
            Open::BareRoot,
            ACCES,
            // Of root's own files in `/proc` this wall hides none.
            Answer::Open,
        ),
    ]
}
fn own() -> Vec<Row> {
    vec![
        row("the tree is written", |told| made(&told.tree.join("made")), Open::Works, WORKS, WORKS),
        row(
            "a directory is made in the tree and renamed",
            |told| {
                std::fs::create_dir(told.tree.join("a"))?;
                std::fs::rename(told.tree.join("a"), told.tree.join("b"))?;
                std::fs::remove_dir(told.tree.join("b"))
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "a file moves from one directory of the tree to another",
            |told| {
                std::fs::create_dir(told.tree.join("c"))?;
                append(told.tree.join("c/file"))?;
                std::fs::rename(told.tree.join("c/file"), told.tree.join("from c"))?;
                std::fs::remove_dir(told.tree.join("c"))?;
                std::fs::remove_file(told.tree.join("from c"))
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "the own home is written",
            |_| made(&Path::new(&std::env::var_os("HOME").expect("set")).join("in-home")),
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "the directory for temporary files is written",
            |_| made(&std::env::temp_dir().join("in-tmp")),
            Open::Works,
            WORKS,
            WORKS,
        ),
        row("/tmp is written", |told| append(told.in_tmp()), Open::Works, WORKS, ACCES),
        row("/var/tmp is written", |_| made("/var/tmp/stead-test-in-var-tmp".as_ref()), Open::Works, WORKS, ACCES),
        row(
            "/dev/shm is written",
            |_| made(format!("/dev/shm/stead-test-{}", std::process::id()).as_ref()),
            Open::Works,
            WORKS,
            ACCES,
        ),
        row(
            "the devices of every program work",
            |_| {
                let mut byte = [1];
                for (device, write) in
                    [("null", true), ("zero", false), ("full", false), ("random", false), ("urandom", false)]
                {
                    let mut file = OpenOptions::new().read(true).write(write).open(Path::new("/dev").join(device))?;
                    if device != "null" {
                        file.read_exact(&mut byte)?;
                    }
                }
                // There is none here, which is an answer of the device.
                match File::open("/dev/tty") {
                    Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(()),
                    result => result.map(drop),
                }
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "a disk is there",
            |_| {
                let disks =
                    ["/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/loop-control", "/dev/mem", "/dev/fuse", "/dev/kvm"];
                match disks
                    .iter()
                    .filter_map(|disk| File::open(disk).err())
                    .find(|error| error.kind() != io::ErrorKind::NotFound)
                {
                    _ if disks.iter().any(|disk| File::open(disk).is_ok()) => Ok(()),
                    Some(error) => Err(error),
                    None => Err(Errno::NOENT.into()),
                }
            },
            Open::NoWall,
            NOENT,
            Answer::Refused(&[Errno::ACCESS, Errno::NOENT]),
        ),
    ]
}

//! System calls that only the filter refuses: each is made so that the kernel has another answer to it before it asks for power.

use rustix::io::Errno;

use super::sys::{Given, call};
use super::table::{NOSYS, Open, PERM, Row, row};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "a namespace is entered that is none",
            |_| call(libc::SYS_setns, [(-1).into(), 0.into()]).map(drop),
            Open::Says(&[Errno::BADF]),
            PERM,
            PERM,
        ),
        row(
            "the root is changed to a file",
            |_| call(libc::SYS_chroot, [b"/proc/self/status\0".to_vec().as_mut_slice().into()]).map(drop),
            Open::Says(&[Errno::NOTDIR]),
            PERM,
            PERM,
        ),
        row(
            "a mount is taken off with flags that are none",
            |_| call(libc::SYS_umount2, [b"/\0".to_vec().as_mut_slice().into(), (1 << 30).into()]).map(drop),
            Open::Says(&[Errno::INVAL]),
            PERM,
            PERM,
        ),
        row(
            "a file system is set up that is none",
            |_| call(libc::SYS_fsconfig, [(-1).into(), 0.into(), 0.into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::INVAL]),
            PERM,
            PERM,
        ),
        row(
            "a tree of mounts is opened where there is none",
            |_| {
                call(libc::SYS_open_tree, [(-1).into(), b"/missing\0".to_vec().as_mut_slice().into(), 0.into()])
                    .map(drop)
            },
            Open::Says(&[Errno::NOENT]),
            PERM,
            PERM,
        ),
        row(
            "events of files are listened to",
            |_| {
                // Without power it takes the flag by which files are reported by their handles.
                let listener = call(libc::SYS_fanotify_init, [0x200.into(), 0.into()])?;
                call(libc::SYS_close, [Given::Number(listener)]).map(drop)
            },
            Open::Bare,
            PERM,
            PERM,
        ),
        row(
            "a clock is set that is none",
            |_| call(libc::SYS_clock_settime, [9999.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::INVAL]),
            PERM,
            PERM,
        ),
        row(
            "a quota is asked for by no file",
            |_| call(libc::SYS_quotactl_fd, [(-1).into(), 0.into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::BADF, Errno::NOSYS]),
            PERM,
            PERM,
        ),
        row(
            "an io_uring is told of what is none",
            |_| call(libc::SYS_io_uring_register, [(-1).into(), 0.into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::BADF, Errno::INVAL]),
            NOSYS,
            NOSYS,
        ),
    ]
}

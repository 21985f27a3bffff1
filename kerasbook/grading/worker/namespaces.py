"""Level 1: namespaces of its own for a process, and what it sees in them."""

import os

from .kernel import Unavailable, checked, libc

# unshare: users, processes, network, IPC, mounts, host name
NEW_NAMESPACES = 0x10000000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x00020000 | 0x04000000

BOX_BYTES = 64 * 1024 * 1024
BOX_FILES = 1_000


def new_namespaces():
    """Leave the machine's users, processes, network, IPC, and mounts. Then the next fork is inside.

    The user keeps its number, so that files in the box belong to the one who started it.
    """
    user, group = os.getuid(), os.getgid()
    checked(libc.unshare(NEW_NAMESPACES), "unshare")
    try:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as error:
        raise Unavailable(f"{error.filename or 'uid_map'}: {error.strerror}") from error


def mount_box(box: str):
    """Put a small file system in memory over the box, and a /proc of the own processes only."""
    private = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE
    nosuid_nodev = 2 | 4
    checked(libc.mount(b"none", b"/", None, private, None), "mount private")
    size = f"size={BOX_BYTES},nr_inodes={BOX_FILES},mode=700".encode()
    checked(libc.mount(b"tmpfs", box.encode(), b"tmpfs", nosuid_nodev, size), "mount tmpfs")
    # Inside a container that hides parts of /proc this fails; then Landlock alone hides the rest.
    libc.mount(b"proc", b"/proc", b"proc", nosuid_nodev | 8, None)

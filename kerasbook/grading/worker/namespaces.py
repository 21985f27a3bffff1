"""Level 1: namespaces of its own for a process, and a tree of files that has only what it needs."""

import os
import struct

from .kernel import Unavailable, checked, libc, syscall
from .retry import retry

# unshare: users, processes, network, IPC, mounts, host name
NEW_NAMESPACES = 0x10000000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x00020000 | 0x04000000
# mount, umount2, mount_setattr
NOSUID, NODEV, NOEXEC, BIND, RECURSIVE, PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
DETACH, READ_ONLY, WHOLE_TREE, HERE = 2, 1, 0x8000, -100

BOX_BYTES = 64 * 1024 * 1024
BOX_FILES = 1_000


def new_namespaces():
    """Leaves the machine's users, processes, network, IPC, and mounts. Then the next fork is
    inside.

    The user keeps its number, so that files in the box belong to the one who started it.
    """
    user, group = os.getuid(), os.getgid()
    retry(lambda: checked(libc.unshare(NEW_NAMESPACES), "unshare"))
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


def enter_own_root(box: str, view: dict[str, list]):
    """Moves to a root that has the box, what may be read, and nothing else to be seen.

    Args:
        box: an empty folder; on it the new root is put together.
        view: "shown", files and folders without links on the way; "covered", folders in them that
            are empty here; "links", [path, where it points], for those who go another way.

    Raises:
        Unavailable: the kernel, or a container, does not allow it.
    """
    mount(None, "/", None, RECURSIVE | PRIVATE)
    mount("tmpfs", box, "tmpfs", NOSUID | NODEV, "size=4m,nr_inodes=20000,mode=755")
    os.makedirs(box + box)
    os.mkdir(box + "/proc")
    for path in [*view["shown"], "/dev/null"]:
        if not path.startswith("/proc/") and os.path.exists(path):
            show(path, box + path)
    for path in view["covered"]:
        if os.path.isdir(box + path):
            mount("tmpfs", box + path, "tmpfs", NOSUID | NODEV, "size=4k,nr_inodes=1,mode=0")
    for path, target in view["links"]:
        if not os.path.lexists(box + path):
            os.makedirs(os.path.dirname(box + path), exist_ok=True)
            os.symlink(target, box + path)
    show_processes(box)
    attributes = struct.pack("<QQQQ", READ_ONLY | NOSUID, 0, 0, 0)
    size = len(attributes)
    checked(syscall(442, HERE, box.encode(), WHOLE_TREE, attributes, size), "mount_setattr")
    size = f"size={BOX_BYTES},nr_inodes={BOX_FILES},mode=700"
    mount("tmpfs", box + box, "tmpfs", NOSUID | NODEV, size)
    os.chdir(box)
    checked(syscall(155, b".", b"."), "pivot_root")
    checked(libc.umount2(b".", DETACH), "umount")
    os.chdir("/")


def show(path: str, place: str):
    """Mounts a file or folder once more, at a place that is made for it."""
    if os.path.isdir(path):
        os.makedirs(place, exist_ok=True)
    elif not os.path.exists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o600))
    mount(path, place, None, BIND | RECURSIVE)


def show_processes(root: str):
    """Mounts a /proc of the own processes; where a container forbids it, the machine's.

    Then Landlock alone hides the rest.
    """
    try:
        mount("proc", root + "/proc", "proc", NOSUID | NODEV | NOEXEC)
    except Unavailable:
        mount("/proc", root + "/proc", None, BIND | RECURSIVE)


def mount(source: str | None, place: str, kind: str | None, flags: int, options: str = ""):
    """Calls the system's mount.

    Raises:
        Unavailable: it fails.
    """
    texts = [text.encode() if text else None for text in (source, place, kind, options)]
    checked(libc.mount(*texts[:3], flags, texts[3]), f"mount {place}")

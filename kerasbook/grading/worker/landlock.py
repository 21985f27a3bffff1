"""Landlock: which files a process may open, for good. No privilege is needed.

The kernel's description: docs.kernel.org/userspace-api/landlock.html.
"""

import ctypes
import os
import struct

from .kernel import SET_NO_NEW_PRIVS, Unavailable, checked, libc, syscall

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
MAKE_DEVICES = 1 << 6 | 1 << 11 | 1 << 9  # character and block devices, sockets
READ = EXECUTE | READ_FILE | READ_DIR


def abi_version() -> int:
    """Returns the version of Landlock in this kernel, 0 if it has none."""
    return max(0, syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def restrict(readable: list[str], writable: list[str]):
    """Allows these files and folders, and no others; in later versions no TCP, no signals either.

    What an early version does not know, the list of system calls refuses: truncate before version
    3 (Linux 6.2), sockets before 4, signals and abstract names before 6.

    Raises:
        Unavailable: the kernel has no Landlock (Linux 5.13), or it is not switched on.
    """
    abi = abi_version()
    if abi < 1:
        raise Unavailable("no Landlock (Linux 5.13 or later, switched on)")
    every = (1 << (12 + min(abi, 3) + (abi >= 5))) - 1
    network, scoped = 3, 3
    attributes = struct.pack("<QQQ", every, network, scoped)
    attributes = attributes[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    rules = checked(
        syscall(444, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)), "Landlock"
    )
    for paths, rights in ((readable, READ), (writable, every & ~MAKE_DEVICES & ~EXECUTE)):
        for path in paths:
            _allow(rules, path, rights & every)
    checked(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    checked(syscall(446, rules, ctypes.c_uint32(0)), "Landlock")
    os.close(rules)


def _allow(rules: int, path: str, rights: int):
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    if not os.path.isdir(path):
        rights &= FILE_RIGHTS
    rule = struct.pack("<Qi", rights, opened)
    checked(syscall(445, rules, 1, rule, ctypes.c_uint32(0)), f"Landlock rule for {path}")
    os.close(opened)

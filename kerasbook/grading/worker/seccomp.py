"""seccomp: which system calls a process may make, for good. Linux on x86-64.

The numbers are those of the kernel's arch/x86/entry/syscalls/syscall_64.tbl.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

from .kernel import (
    SET_DUMPABLE,
    SET_NO_NEW_PRIVS,
    SET_PDEATHSIG,
    SET_SECCOMP,
    SET_THP_DISABLE,
    Unavailable,
    checked,
    libc,
)

DENIED = {
    "other processes": [101, 310, 311, 312, 434, 438, 440, 448, 129, 297, 424, 200],
    "new processes": [57, 58, 59, 322],
    # sendmsg and sendmmsg too: open files parked in a socket are out of the supervisor's sight;
    # pairs and their buffers: what waits in them counts as nobody's memory
    "sockets": [41, 42, 43, 46, 49, 50, 53, 54, 288, 307],
    # sendfile, splice, tee, vmsplice: a page in a pipe stays when its process has let it go
    "pages in pipes": [40, 275, 276, 278],
    # more filters and rules: memory of the kernel's
    "walls of its own": [317, 444, 445, 446],
    "mounts and namespaces": [
        155, 161, 165, 166, 272, 308, 428, 429, 430, 431, 432, 433, 442, 457, 458,
    ],
    "kernel": [
        321, 298, 323, 425, 426, 427, 248, 249, 250, 175, 313, 176, 246, 320, 103, 135, 154, 206,
    ],
    "machine": [169, 167, 168, 163, 164, 227, 305, 159, 170, 171, 179, 172, 173, 153, 162, 306],
    "users": [105, 106, 113, 114, 116, 117, 119, 122, 123, 126],
    "modes, owners, times": [90, 91, 92, 93, 94, 260, 268, 452, 132, 235, 261, 280],
    "attributes": [188, 189, 190, 197, 198, 199],
    "files by name, which early versions of Landlock let pass": [76],
    "watching files of others": [253, 254, 294],  # inotify, which Landlock does not govern
    "shared memory and queues": [
        29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 220, 240, 241, 319, 447,
    ],
    "priorities": [141, 142, 144, 203, 251, 256, 279, 314],
    "handles": [133, 259, 300, 303, 304],
}  # fmt: skip
FIRST_UNKNOWN = 463  # setxattrat and what came, or will come, after it: as if not there
THREAD = 0x00010000 | 0x00000400  # CLONE_THREAD and CLONE_FILES: with no open files of its own
SEND_SIGNALS = [8, 10, 15]  # fcntl F_SETOWN, F_SETSIG, F_SETOWN_EX: a signal to any process
HOLD_UP_OTHERS = [1024, 1026]  # F_SETLEASE: others' open() would wait; F_NOTIFY
UNCOUNTED = [6, 7, 37, 38, 1031]  # F_SETLK and the like: a lock is memory; F_SETPIPE_SZ
SET_OWNER = [0x8901, 0x8902]  # ioctl FIOSETOWN, SIOCSPGRP, as F_SETOWN
SHARED_AND_NO_FILE = 0x01 | 0x20  # mmap: memory that stays when its pages are let go
HUGE_PAGES = 0x40000  # of the machine's own stock
INTO_SWAP = [20, 21, 25]  # madvise: cold, page out, and collapse into large pages
OWN_OPEN_FILES = 2  # close_range CLOSE_RANGE_UNSHARE
LOAD, AND, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL = 0x7FFF0000, 0x80000000
X86_64 = 0xC000003E


def restrict():
    """Refuses the system calls that reach beyond this process; threads stay possible.

    Raises:
        Unavailable: not Linux on x86-64, or a kernel without seccomp filters.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("the list of system calls is for Linux on x86-64")
    program = b"".join(struct.pack("<HBBI", *line) for line in filter_program(os.getpid()))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    checked(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    checked(libc.prctl(SET_SECCOMP, 2, ctypes.c_char_p(header), 0, 0), "seccomp")


def refuse(number: int = errno.EPERM) -> tuple[int, int, int, int]:
    """Returns the line that refuses a call with an error number."""
    return (RETURN, 0, 0, 0x00050000 | number)


ALLOWED = (RETURN, 0, 0, ALLOW)


def only(values: list[int]) -> list[tuple]:
    """Returns the lines that allow these values of the argument that was loaded."""
    tests = [(EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [*tests, refuse(), ALLOWED]


def never(values: list[int], test: int = EQUAL) -> list[tuple]:
    """Returns the lines that allow all but these values."""
    tests = [(test, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [*tests, ALLOWED, refuse()]


def argument_rules(own: int) -> list[tuple[int, int, list[tuple]]]:
    """Returns system call, which argument, and the lines that decide by it.

    Args:
        own: the process's own number.
    """
    return [
        (56, 0, [(AND, 0, 0, THREAD), (EQUAL, 1, 0, THREAD), refuse(), ALLOWED]),  # clone
        (62, 0, only([own])),  # kill and tgkill: oneself only
        (234, 0, only([own])),
        (302, 0, only([0, own])),  # prlimit: oneself only
        # prctl: tied to the parent, seen by the supervisor, no more filters, no large pages
        (157, 0, never([SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, SET_THP_DISABLE])),
        (72, 1, never(SEND_SIGNALS + HOLD_UP_OTHERS + UNCOUNTED)),  # fcntl
        (16, 1, never(SET_OWNER)),  # ioctl
        (28, 2, never(INTO_SWAP)),  # madvise
        (436, 2, never([OWN_OPEN_FILES], ANY_BIT)),  # close_range
        (
            9,  # mmap
            3,
            [
                (ANY_BIT, 2, 0, HUGE_PAGES),
                (AND, 0, 0, SHARED_AND_NO_FILE),
                (EQUAL, 0, 1, SHARED_AND_NO_FILE),
                refuse(),
                ALLOWED,
            ],
        ),
    ]


def filter_program(own: int) -> list[tuple[int, int, int, int]]:
    """Returns the filter: (operation, lines to jump if true, if false, operand) a line.

    It reads the number of the call, and of a few calls one argument.
    """
    lines = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, X86_64),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),
        (AT_LEAST, 0, 1, FIRST_UNKNOWN),  # the x32 calls are among them
        refuse(errno.ENOSYS),
        (EQUAL, 0, 1, 435),  # clone3 hides its flags: have the C library use clone
        refuse(errno.ENOSYS),
    ]
    for call, argument, rest in argument_rules(own):
        lines += [(EQUAL, 0, len(rest) + 1, call), (LOAD, 0, 0, 16 + 8 * argument), *rest]
    for number in sorted(one for group in DENIED.values() for one in group):
        lines += [(EQUAL, 0, 1, number), refuse(errno.EACCES if number == 41 else errno.EPERM)]
    return [*lines, ALLOWED]

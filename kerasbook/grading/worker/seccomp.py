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
    Unavailable,
    checked,
    libc,
)

CLONE_THREAD = 0x00010000

DENIED = {
    "other processes": [101, 310, 311, 312, 434, 438, 440, 448, 129, 297, 424, 200],
    "new processes": [57, 58, 59, 322],
    # sendmsg and sendmmsg too: open files parked in a socket are out of the keeper's sight
    "sockets": [41, 42, 43, 46, 49, 50, 288, 307],
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
SEND_SIGNALS = [8, 10, 15]  # fcntl F_SETOWN, F_SETSIG, F_SETOWN_EX: a signal to any process
HOLD_UP_OTHERS = [1024, 1026]  # F_SETLEASE: others' open() would wait; F_NOTIFY
SET_OWNER = [0x8901, 0x8902]  # ioctl FIOSETOWN, SIOCSPGRP, as F_SETOWN
DATAGRAMS = 2  # a bit of the type of SOCK_DGRAM and SOCK_RAW, not of the streams
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL = 0x7FFF0000, 0x80000000
X86_64 = 0xC000003E


def restrict():
    """Refuse the system calls that reach beyond this process; threads stay possible.

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


def filter_program(own: int) -> list[tuple[int, int, int, int]]:
    """The filter: (operation, lines to jump if true, if false, operand) a line.

    It reads the number of the call, and of a few calls one argument.
    """

    def refuse(number=errno.EPERM):
        return (RETURN, 0, 0, 0x00050000 | number)

    def only(values, test=EQUAL):
        return choose(values, test, refuse(), allow)

    def never(values, test=EQUAL):
        return choose(values, test, allow, refuse())

    def choose(values, test, otherwise, chosen):
        tests = [(test, len(values) - place, 0, value) for place, value in enumerate(values)]
        return [*tests, otherwise, chosen]

    allow = (RETURN, 0, 0, ALLOW)
    arguments = [  # call, which argument, what it may be
        (56, 0, only([CLONE_THREAD], ANY_BIT)),  # clone: threads only
        (62, 0, only([own])),  # kill and tgkill: oneself only
        (234, 0, only([own])),
        (302, 0, only([0, own])),  # prlimit: oneself only
        (157, 0, never([SET_PDEATHSIG, SET_DUMPABLE])),  # tied to the parent, seen by the keeper
        (72, 1, never(SEND_SIGNALS + HOLD_UP_OTHERS)),  # fcntl
        (16, 1, never(SET_OWNER)),  # ioctl
        # socketpair: from a datagram socket one can send to any socket with a name
        (53, 1, never([DATAGRAMS], ANY_BIT)),
    ]
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
    for call, argument, rest in arguments:
        lines += [(EQUAL, 0, len(rest) + 1, call), (LOAD, 0, 0, 16 + 8 * argument), *rest]
    for number in sorted(one for group in DENIED.values() for one in group):
        lines += [(EQUAL, 0, 1, number), refuse(errno.EACCES if number == 41 else errno.EPERM)]
    return [*lines, allow]

"""Walls around a process that is about to run a stranger's code. Linux on x86-64, no privilege.

Level 1: namespaces of its own (user, process ids, network, IPC, mounts), and all of level 2.
Level 2: Landlock (which files may be opened), seccomp (which system calls may be made), resource
         limits, no capabilities.
Level 5: resource limits only: accidents, not attacks.

Each step only ever takes something away, so the order does not matter for safety; what needs a
right comes before the step that takes it. Landlock: docs.kernel.org/userspace-api/landlock.html,
numbers of system calls: the kernel's arch/x86/entry/syscalls/syscall_64.tbl.
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)

# prctl
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, SET_NO_NEW_PRIVS = 1, 4, 22, 38

# unshare
NEW_NAMESPACES = 0x10000000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x00020000 | 0x04000000
CLONE_THREAD = 0x00010000

BOX_BYTES = 64 * 1024 * 1024
BOX_FILES = 1_000
MOST_THREADS = 400


class Unavailable(Exception):
    """This machine does not offer a wall, and why."""


def checked(result: int, what: str) -> int:
    """The result of a system call, or Unavailable."""
    if result < 0:
        number = ctypes.get_errno()
        raise Unavailable(f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments) -> int:
    """A system call by number."""
    return libc.syscall(ctypes.c_long(number), *arguments)


# Everywhere


def die_with_parent():
    """Have the kernel kill this process when the one that forked it ends."""
    if sys.platform == "linux":
        libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def set_limits(seconds: int, memory: int):
    """Limit processor time, file size, open files, address space; no core dumps.

    The address space of TensorFlow is far larger than what it uses, so that the limit of memory
    itself is watched from outside (resident set), and this one only stops absurd requests.
    """
    limits = {
        # 1, not 0: a program that collects core dumps, such as systemd's, is not called then
        resource.RLIMIT_CORE: 1,
        resource.RLIMIT_FSIZE: BOX_BYTES,
        resource.RLIMIT_NOFILE: 256,
    }
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = used + memory + 16 * 2**30
    for name, most in limits.items():
        hard = resource.getrlimit(name)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(name, (most, most))
    # At the soft limit SIGXCPU, which tells the reason; who ignores it is killed a second later.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def be_first_to_die():
    """Have the kernel end this process before others when the machine's memory is used up."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # not Linux, or a container that forbids it: the keeper still watches


# Level 1


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


def drop_capabilities():
    """Give up what root, or the first user of a namespace, may do beyond others."""
    header = struct.pack("<Ii", 0x20080522, 0)
    nothing = bytes(24)
    checked(syscall(126, header, nothing), "capset")


# Level 2: Landlock

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
MAKE_DEVICES = 1 << 6 | 1 << 11 | 1 << 9  # character and block devices, sockets
READ = EXECUTE | READ_FILE | READ_DIR


def landlock_abi() -> int:
    """The version of Landlock in this kernel, 0 if it has none."""
    return max(0, syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def landlock(readable: list[str], writable: list[str]):
    """Allow these files and folders, and no others; in later versions no TCP, no signals either.

    What an early version does not know, the list of system calls refuses: truncate before version
    3 (Linux 6.2), sockets before 4, signals and abstract names before 6.

    Raises:
        Unavailable: the kernel has no Landlock (Linux 5.13), or it is not switched on.
    """
    abi = landlock_abi()
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


def without(path: str, hidden: list[str]) -> list[str]:
    """The path, or, if something hidden lies below it, what else lies in it, recursively."""
    is_link = os.path.islink(path)
    path = os.path.realpath(path)
    if any(path == other or path.startswith(other + "/") for other in hidden):
        return []
    if not any(other.startswith(path.rstrip("/") + "/") for other in hidden):
        return [path]
    if is_link:  # what it points to has its own turn; a link upward would never end
        return []
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []
    return [one for name in names for one in without(os.path.join(path, name), hidden)]


def readable_paths(hidden: list[str]) -> list[str]:
    """What Python, NumPy and TensorFlow need to read, less the hidden folders.

    Of an environment only its libraries, as it may lie in, or be, the folder of a course. Entries
    of sys.path that are no libraries come from .pth files, such as a checkout installed editable,
    and are left out.
    """
    libraries = {os.path.join(one, "lib") for one in (sys.prefix, sys.base_prefix)}
    libraries |= {one for one in sys.path if one.endswith(("/site-packages", "/dist-packages"))}
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    books = [os.path.join(one, "kerasbook") for one in sys.path]  # the running one and others
    hidden = [os.path.realpath(one) for one in (*hidden, *books)]
    roots = [os.path.realpath(one) for one in (*sorted(libraries), *system)]
    chosen = {one for root in roots for one in without(root, hidden)}
    files = ["/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom"]
    files += ["/dev/random", "/dev/zero", "/proc/self", "/proc/cpuinfo", "/proc/meminfo"]
    files += ["/proc/stat", "/sys/devices/system"]
    return sorted(chosen) + files


# Level 2: seccomp

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


def seccomp():
    """Refuse the system calls that reach beyond this process; threads stay possible.

    Raises:
        Unavailable: not Linux on x86-64, or a kernel without seccomp filters.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("the list of system calls is for Linux on x86-64")
    program = b"".join(struct.pack("<HBBI", *line) for line in seccomp_program(os.getpid()))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    checked(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    checked(libc.prctl(SET_SECCOMP, 2, ctypes.c_char_p(header), 0, 0), "seccomp")


def seccomp_program(own: int) -> list[tuple[int, int, int, int]]:
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


def enclose(level: int, box: str, readable: list[str]):
    """All walls of a level around this process, for good. The box is the only place to write.

    Raises:
        Unavailable: one of them cannot be had here.
    """
    if level == 1:
        mount_box(box)
    os.chdir(box)
    if level in (1, 2):
        landlock(readable, [box, "/dev/null"])
        drop_capabilities()
        seccomp()

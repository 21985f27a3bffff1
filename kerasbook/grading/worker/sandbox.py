"""Walls around a process that is about to run a stranger's code. Linux on x86-64, no privilege.

Level 1: namespaces of its own (user, process ids, network, IPC, mounts), and all of level 2.
Level 2: Landlock (which files may be opened), seccomp (which system calls may be made), resource
         limits, no capabilities.
Level 5: resource limits only: accidents, not attacks.

Each step only ever takes something away, so the order does not matter for safety; what needs a
right comes before the step that takes it.
"""

import os
import re
import resource
import signal
import struct
import sys

from . import landlock, namespaces, seccomp
from .kernel import SET_PDEATHSIG, SET_THP_DISABLE, checked, libc, syscall
from .namespaces import BOX_BYTES

# TensorFlow makes some for each processor; a worker of the book's exercises has at most 20.
MOST_THREADS = 96 + 4 * (os.cpu_count() or 1)
MOST_OPEN_FILES = 256


def die_with_parent():
    """Lets the kernel kill this process when the one that forked it ends."""
    if sys.platform == "linux":
        libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def set_limits(seconds: int, memory: int):
    """Limits processor time, file size, open files, address space; no core dumps.

    The address space of TensorFlow is far larger than what it uses, so that the limit of memory
    itself is watched from outside (see usage). What may be written to ends 1 GiB above that limit,
    and the address space 16 GiB.
    """
    limits = {
        # 1, not 0: a program that collects core dumps, such as systemd's, is not called then
        resource.RLIMIT_CORE: 1,
        resource.RLIMIT_FSIZE: BOX_BYTES,
        resource.RLIMIT_NOFILE: MOST_OPEN_FILES,
    }
    if sys.platform == "linux":
        used, written = address_space()
        limits[resource.RLIMIT_AS] = used + memory + 16 * 2**30
        limits[resource.RLIMIT_DATA] = written + memory + 2**30
        limits[resource.RLIMIT_SIGPENDING] = MOST_OPEN_FILES  # timers are counted by it, too
        limits[resource.RLIMIT_MSGQUEUE] = 0
        # Half of a large page may be let go and still be held.
        libc.prctl(SET_THP_DISABLE, 1, 0, 0, 0)
    for name, most in limits.items():
        hard = resource.getrlimit(name)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(name, (most, most))
    # At the soft limit SIGXCPU, which tells the reason; who ignores it is killed a second later.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def limit_threads():
    """Lets the kernel count the threads of a process that has a user namespace of its own.

    It does so from Linux 5.14 on, and not for root: then the supervisor counts alone.
    """
    release = tuple(int(one) for one in re.findall(r"\d+", os.uname().release)[:2])
    if release >= (5, 14):
        resource.setrlimit(resource.RLIMIT_NPROC, (MOST_THREADS, MOST_THREADS))


def address_space() -> tuple[int, int]:
    """Returns the bytes of this process's address space, and of what it may write to in it."""
    with open("/proc/self/statm") as file:
        fields = file.read().split()
    return int(fields[0]) * resource.getpagesize(), int(fields[5]) * resource.getpagesize()


def be_first_to_die():
    """Lets the kernel end this process before others when the machine's memory is used up."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # not Linux, or a container that forbids it: the supervisor still watches


def drop_capabilities():
    """Gives up what root, or the first user of a namespace, may do beyond others."""
    header = struct.pack("<Ii", 0x20080522, 0)
    nothing = bytes(24)
    checked(syscall(126, header, nothing), "capset")


def enclose(level: int, box: str, view: dict[str, list]):
    """Puts all walls of a level around this process, for good. The box is the only place to write.

    Raises:
        Unavailable: one of them cannot be had here.
    """
    if level == 1:
        namespaces.enter_own_root(box, view)
    os.chdir(box)
    if level in (1, 2):
        landlock.restrict(view["readable"], [box, "/dev/null"])
        drop_capabilities()
        seccomp.restrict()

"""System calls by number, for what Python has no function for. Linux on x86-64."""

import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)

# prctl
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, SET_NO_NEW_PRIVS, SET_THP_DISABLE = 1, 4, 22, 38, 41


class Unavailable(Exception):
    """This machine does not offer a wall, and why."""


def checked(result: int, what: str) -> int:
    """Returns the result of a system call, or Unavailable; BlockingIOError if it may be tried
    again.
    """
    if result < 0:
        number = ctypes.get_errno()
        if number == errno.EAGAIN:
            raise BlockingIOError(number, f"{what}: {os.strerror(number)}")
        raise Unavailable(f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments) -> int:
    """Returns a system call by number."""
    return libc.syscall(ctypes.c_long(number), *arguments)

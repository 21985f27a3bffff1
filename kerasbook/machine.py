"""What the system tells of the machine and of this process; imports nothing heavy."""

import os
import platform
import sys
from pathlib import Path


def with_extra(name: str) -> str:
    """Returns the command that installs libraries beside the book: those of an extra.

    It names the checkout's folder: there is no release of the book on an index of packages, where
    anybody may take the name.
    """
    return f"`python -m pip install '.[{name}]'` in the checkout of kerasbook"


NO_GPU = (
    f"TensorFlow sees no GPU here: install its CUDA libraries with {with_extra('gpu')} "
    "(Linux, NVIDIA), or leave --device gpu out"
)


def cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Returns the processor's name, as far as the system tells it."""
    name = _line_of("/proc/cpuinfo", "model name").partition(":")[2].strip()
    return name or platform.processor() or platform.machine()


def features() -> list[str]:
    """Returns what the processor has for wide products and for 16 bits, as Linux names it.

    Empty where the system does not tell.
    """
    flags = _line_of("/proc/cpuinfo", "flags").split()
    return [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]


def memory_now() -> int:
    """Returns bytes of memory that this process holds; 0 where the system does not tell."""
    return _kibibytes("VmRSS")


def peak_memory() -> int:
    """Returns the most that this process has held, in bytes; 0 where the system does not tell."""
    peak = _kibibytes("VmHWM")  # getrusage would count what our parent process held, too
    if peak or sys.platform == "win32":
        return peak
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def waits() -> int:
    """Returns how often a thread of this process has gone to sleep to wait; 0 where nobody counts
    it.
    """
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def _kibibytes(name: str) -> int:
    words = _line_of("/proc/self/status", name).split()
    return 1024 * int(words[1]) if words else 0


def _line_of(file: str, name: str) -> str:
    """The first line of the file that begins with the name; empty if there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(name)), "")

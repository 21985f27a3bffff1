"""What a worker may read: the libraries that answers need, less the folders that are hidden."""

import os
import sys


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
    # Not /dev/zero: mapped as shared it is memory that stays when its pages are let go.
    files += ["/dev/random", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"]
    files += ["/sys/devices/system"]
    return sorted(chosen) + files

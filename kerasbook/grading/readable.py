"""What a worker may read: the libraries that answers need, less the folders that are hidden.

The grader finds this out, not the server: so the hidden names are in no worker's memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    # Not /dev/zero: mapped as shared it is memory that stays when its pages are let go.
    "/dev/urandom",
    "/dev/random",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system",
)


def without(path: str, hidden: Sequence[str]) -> list[str]:
    """Returns the path, or, if something hidden lies below it, what else lies in it."""
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


def libraries() -> list[str]:
    """Returns the folders of Python's and the system's libraries, as their users name them.

    Of an environment only its libraries, as it may lie in, or be, the folder of a course. Entries
    of sys.path that are no libraries come from .pth files, such as a checkout installed editable,
    and are left out.
    """
    own = {os.path.join(one, "lib") for one in (sys.prefix, sys.base_prefix)}
    own |= {one for one in sys.path if one.endswith(("/site-packages", "/dist-packages"))}
    return [*sorted(own), *SYSTEM]


def readable_paths(hidden: Iterable[str | os.PathLike]) -> list[str]:
    """Returns what Python, NumPy and TensorFlow need to read, less the hidden folders."""
    hidden = [os.path.realpath(one) for one in hidden]
    roots = [os.path.realpath(one) for one in libraries()]
    chosen = {one for root in roots for one in without(root, hidden)}
    inside = {one for one in chosen if any(one.startswith(f"{other}/") for other in chosen)}
    return sorted(chosen - inside) + [one for one in FILES if os.path.exists(one)]


def books() -> list[str]:
    """Returns the folders of this package: the running one, and others that can be imported."""
    here = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    others = [os.path.realpath(os.path.join(one, "kerasbook")) for one in sys.path]
    return sorted({here, *filter(os.path.isdir, others)})


def holding_libraries(hidden: Iterable[str | os.PathLike]) -> str:
    """Returns the folder, of those to be hidden, that holds the libraries; "" if none does."""
    roots = [os.path.realpath(one) for one in libraries() if os.path.isdir(one)]
    for folder in map(os.path.realpath, hidden):
        if any(f"{root}/".startswith(f"{folder.rstrip('/')}/") for root in roots):
            return folder
    return ""


def view(hidden: Iterable[str | os.PathLike]) -> dict[str, list]:
    """Returns what a worker may open, and what it sees at level 1.

    At level 1 all that is not mounted cannot even be seen. The book's place is no secret and is
    covered, which is quicker than to mount all that lies beside it.
    """
    hidden = list(hidden)
    return {
        "readable": readable_paths([*hidden, *books()]),
        "shown": readable_paths(hidden),
        "covered": books(),
        "links": links_to([*libraries(), *sys.path]),
    }


def links_to(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Returns the links on the way to paths: (the link, where it points), each once."""
    found = {}
    for path in paths:
        place = "/"
        for part in path.strip("/").split("/"):
            place = os.path.join(os.path.realpath(place), part)
            if os.path.islink(place):
                found[place] = os.readlink(place)
    return sorted(found.items())

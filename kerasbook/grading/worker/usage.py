"""What a worker uses: memory, threads, and its box on the disk."""

import contextlib
import os
import stat

from .namespaces import BOX_BYTES, BOX_FILES

MOST_MAPS = 20_000  # of memory, in one process; TensorFlow has some two thousand


def usage(number: str) -> tuple[str, int, int]:
    """Returns state, memory in bytes and threads of a process; "", 0, 0 once it is gone."""
    try:
        with open(f"/proc/{number}/status", errors="replace") as file:
            return counted(file.read())
    except OSError:
        return "", 0, 0


def counted(status: str) -> tuple[str, int, int]:
    """Returns state, memory in bytes and threads from the text of /proc/N/status.

    Memory is what is resident, shared or not, what was moved to swap, the tables of the pages and
    the machine's huge pages.
    """
    lines = (line.partition(":") for line in status.splitlines())
    fields = {name: value for name, _, value in lines}
    names = ("VmRSS", "VmSwap", "VmPTE", "HugetlbPages")
    memory = sum(int(fields[name].split()[0]) << 10 for name in names if name in fields)
    return fields["State"].split()[0], memory, int(fields["Threads"])


def too_full(box: str, number: str) -> bool:
    """Returns whether the box holds more bytes or files than it may, removed but open ones
    included.
    """
    size, files = removed_bytes(box, number), 0
    folders = [box]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if files > BOX_FILES or size > BOX_BYTES:
                        return True
        except FileNotFoundError:
            pass  # removed meanwhile
        except OSError:
            return True  # too deep, or closed to its owner: what is in there cannot be counted
    return size > BOX_BYTES


def removed_bytes(box: str, number: str) -> int:
    """Returns bytes of the files in the box that a process has removed and still uses.

    Of one that is only mapped the size is not told, so that it counts as the largest possible.
    """
    sizes = {}
    with contextlib.suppress(OSError):
        # All threads share the open files: others of their own are refused (see seccomp).
        for name in os.listdir(f"/proc/{number}/fd"):
            with contextlib.suppress(OSError):
                found = os.stat(f"/proc/{number}/fd/{name}")
                if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
                    sizes[found.st_ino] = found.st_blocks * 512
        with open(f"/proc/{number}/maps", errors="replace") as file:
            for number_of_line, line in enumerate(file):
                if number_of_line > MOST_MAPS:  # a look must stay cheap
                    return BOX_BYTES + 1
                if line.endswith("(deleted)\n") and box in line:
                    sizes.setdefault(int(line.split()[4]), BOX_BYTES)
    return sum(sizes.values())

"""Taking in what learners handed in: folders, .py files, notebooks, zips. Nothing is executed.

Only text is read: of .py files, and of the code cells of notebooks. Links, devices, archives with
odd names, and files too large are refused, with a note; what is no answer is ignored.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

MOST_FILES, DEEPEST = 500, 6
LARGEST_TEXT, LARGEST_NOTEBOOK, LARGEST_ZIP = 1_000_000, 32_000_000, 64_000_000
NEVER_READ = re.compile(
    r"(conftest|sitecustomize|usercustomize|setup)\.py$|pytest\.ini$|setup\.cfg$|\.(pth|pyc|so|pkl|"
    r"pickle|h5|keras|npy|npz|dll|dylib)$"
)


@dataclass
class Submission:
    """What one learner handed in.

    Attributes:
        learner: name of the file or folder, without its ending.
        answers: question → text of the program that has the answer.
        notes: what was refused, ignored, or chosen among several, a sentence each.
        digest: sha256 of all that was read.
    """

    learner: str
    answers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    digest: str = ""


class Refused(Exception):
    """A submission, or a file in it, that is not taken; the message says why."""


def take_in(path: Path, questions: Iterable[str]) -> Submission:
    """One learner's answers.

    Args:
        path: a folder, .py, .ipynb or .zip.
        questions: names of the functions or classes that are asked for.
    """
    submission = Submission(path.name if path.is_dir() else path.stem)
    try:
        files = dict(_files(path, submission.notes))
    except (Refused, OSError) as error:
        submission.notes.append(f"{path.name}: {error}")
        files = {}
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{len(name)} {name} {len(content)} ".encode() + content)
    submission.digest = digest.hexdigest()
    programs = _programs(files, submission.notes)
    for question in questions:
        _choose(question, programs, submission)
    return submission


def _choose(question: str, programs, submission: Submission) -> None:
    """Find the one program with the answer; of several, the largest answer, with a note."""
    found = [
        (len(ast.dump(node)), name)
        for name, (_, tree) in programs.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.name == question
    ]
    if not found:
        return
    name = max(found)[1]
    submission.answers[question] = programs[name][0]
    if len({one for _, one in found}) > 1:
        submission.notes.append(f"{question} is in several files; the one in {name} was taken")


def _programs(files: dict[str, bytes], notes: list[str]) -> dict[str, tuple[str, ast.Module]]:
    """Name → text and syntax tree of each Python file and notebook that can be read."""
    programs = {}
    for name, content in files.items():
        try:
            if name.endswith(".ipynb"):
                text = program_of(content, name, notes)
            else:
                text = content.decode("utf-8-sig")
            programs[name] = (text, ast.parse(text))
        except SyntaxError as error:
            notes.append(f"{name}: line {error.lineno}: {error.msg}")
        except Refused as error:
            notes.append(f"{name}: {error}")
        except (ValueError, RecursionError, MemoryError) as error:
            notes.append(f"{name}: not Python: {type(error).__name__}")
    return programs


# Files


def _files(path: Path, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the .py files and notebooks of a submission."""
    kind = path.lstat().st_mode
    if stat.S_ISDIR(kind):
        yield from _in_folder(path, notes)
    elif not stat.S_ISREG(kind):
        raise Refused("a link, device or pipe; refused")
    elif path.suffix == ".zip":
        yield from _in_zip(_read(path, LARGEST_ZIP), notes)
    elif path.suffix in (".py", ".ipynb"):
        yield path.name, _read(path, _largest(path.name))
    else:
        raise Refused("neither a folder nor .py, .ipynb or .zip; refused")


def _largest(name: str) -> int:
    return LARGEST_NOTEBOOK if name.endswith(".ipynb") else LARGEST_TEXT


def _read(path: Path, most: int) -> bytes:
    """The bytes of a regular file; never through a link, never more than allowed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    with open(descriptor, "rb") as file:
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode):
            raise Refused("a link, device or pipe; refused")
        if known.st_nlink > 1:
            raise Refused("a hard link to another file; refused")
        content = file.read(most + 1)
    if len(content) > most:
        raise Refused(f"larger than {most / 1e6:g} MB; refused")
    return content


def _in_folder(root: Path, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    count = 0
    for folder, folders, names in os.walk(root, followlinks=False):
        relative = Path(folder).relative_to(root)
        for name in list(folders):
            linked = os.path.islink(os.path.join(folder, name))
            if linked:
                notes.append(f"{relative / name}: a link to a folder; refused")
            if linked or name.startswith(".") or name == "__pycache__":
                folders.remove(name)
        folders.sort()
        if len(relative.parts) >= DEEPEST:
            folders.clear()
        for name in sorted(names):
            count += 1
            if count > MOST_FILES:
                raise Refused(f"more than {MOST_FILES} files; refused")
            shown = (relative / name).as_posix()
            if not _is_answer(shown, notes):
                continue
            try:
                yield shown, _read(Path(folder, name), _largest(name))
            except (Refused, OSError) as error:
                notes.append(f"{shown}: {getattr(error, 'strerror', None) or error}")


def _is_answer(name: str, notes: list[str]) -> bool:
    """Whether a file is read: Python text and notebooks, but none that tools would obey."""
    if NEVER_READ.search(name):
        notes.append(f"{name}: ignored")
        return False
    return name.endswith((".py", ".ipynb"))


def _in_zip(content: bytes, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise Refused(f"not a zip file: {error}") from error
    _check_entries(entries)
    for entry in entries:
        name = entry.filename
        hidden = any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
        if entry.is_dir() or hidden or not _is_answer(name, notes):
            continue
        try:
            with archive.open(entry) as file:
                text = file.read(_largest(name) + 1)
        except Exception as error:  # damaged, encrypted, an unknown method: zipfile has many
            notes.append(f"{name}: cannot be unpacked: {type(error).__name__}")
            continue
        if len(text) > _largest(name):
            raise Refused(f"{name} is larger than {_largest(name) / 1e6:g} MB; refused")
        yield name, text


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_FILES:
        raise Refused(f"a zip of {len(entries)} entries; refused")
    if sum(entry.file_size for entry in entries) > LARGEST_ZIP:
        raise Refused("a zip that unpacks to too much; refused")
    names = [entry.filename for entry in entries]
    if len({name.lower() for name in names}) < len(names):
        raise Refused("a zip with two names that differ by case, or not at all; refused")
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        odd = "\\" in entry.filename or ":" in entry.filename or "\0" in entry.filename
        if odd or entry.filename.startswith("/") or ".." in parts:
            raise Refused("a zip with a name that leads outside; refused")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Refused("a zip with a link or device; refused")


# Notebooks


def program_of(content: bytes, name: str, notes: list[str]) -> str:
    """The imports, functions, classes and plain constants of a notebook's code cells.

    Everything else in it is an experiment. Of several definitions of one name, that in the cell
    made for the answer is taken (it knows its question), else the last.

    Raises:
        Refused: not a notebook of format 4.
    """
    try:
        notebook = json.loads(content)
        cells = notebook["cells"]
        codes = [_code(cell) for cell in cells if cell.get("cell_type") == "code"]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise Refused("not a notebook of format 4") from error
    parts: dict[str, str] = {}
    own: set[str] = set()
    for number, (question, text) in enumerate(codes):
        plain = "\n".join("" if line.lstrip()[:1] in "%!" else line for line in text.split("\n"))
        if text.lstrip().startswith("%%"):
            plain = ""
        if plain != text:
            notes.append(f"{name}: cell {number + 1}: magics and commands were left out")
        try:
            tree = ast.parse(plain)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            notes.append(f"{name}: cell {number + 1}: not Python: {type(error).__name__}")
            continue
        for key, segment in _definitions(tree, plain, number):
            if key in own and key != question:
                continue
            if key == question:
                own.add(key)
            parts.pop(key, None)
            parts[key] = segment
    return "\n\n".join(parts.values()) + "\n"


def _code(cell: dict) -> tuple[str, str]:
    """The question that a cell is made for, "" if none, and its text."""
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(map(str, source))
    metadata = cell.get("metadata") or {}
    mine = metadata.get("kerasbook") if isinstance(metadata, dict) else None
    question = mine.get("question", "") if isinstance(mine, dict) else ""
    return str(question), text


def _definitions(tree: ast.Module, text: str, number: int) -> Iterator[tuple[str, str]]:
    for place, node in enumerate(tree.body):
        key = f"{number}.{place}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kerasbook"):
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            key = node.name
        elif (isinstance(node, ast.Assign) and not _is_plain(node.value)) or not isinstance(
            node, ast.Import | ast.ImportFrom | ast.Assign
        ):
            continue
        yield key, ast.get_source_segment(text, node) or ""


def _is_plain(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True

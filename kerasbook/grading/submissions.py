"""Taking in what learners handed in: folders, .py files, notebooks, zips. Nothing is executed.

Only text is read: of .py files, and of the code cells of notebooks. Links, devices, archives with
odd names, and files too large are refused, with a note; what is no answer is ignored.

The grader has this done in a process of its own (see intake), which has nothing but the standard
library.
"""

from __future__ import annotations

import ast
import hashlib
import io
import os
import re
import stat
import tokenize
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kerasbook.archives import ArchiveError, check_archive
from kerasbook.grading import notebooks
from kerasbook.grading.similarity import MOST_RUNS, runs_of, statements_of
from kerasbook.grading.text import Fault, escaped_name, one_line

MOST_FILES, DEEPEST, MOST_NOTES, LONGEST_NOTE = 500, 6, 20, 300
LARGEST_TEXT, LARGEST_NOTEBOOK, LARGEST_ZIP = 1_000_000, 32_000_000, 64_000_000
LARGEST_IN_ALL = 100_000_000  # bytes read of one submission
ENDINGS = (".py", ".ipynb", ".zip")
# Handed in by mistake: not read, and still somebody's.
OTHER_ENDINGS = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".pdf", ".docx")
OTHER_ENDINGS += (".odt", ".rtf", ".html", ".pyc", ".py~")
MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d{3,})_assignsubmission_[a-z]+(_.*)?", re.DOTALL)
CANVAS = re.compile(r"(?P<name>[^_]+)(?P<late>_LATE)?_(?P<number>\d{3,})_\d{3,}_.+", re.DOTALL)
NO_ANSWER = "neither a folder nor .py, .ipynb or .zip; refused"
ENCODINGS = ("utf-8", "utf-8-sig", "iso-8859-1", "ascii", "us-ascii")
NEVER_READ = re.compile(
    r"(conftest|sitecustomize|usercustomize|setup)\.py$|pytest\.ini$|setup\.cfg$|\.(pth|pyc|so|pkl|"
    r"pickle|h5|hdf5|keras|npy|npz|dll|dylib)$",
    re.IGNORECASE,
)


@dataclass
class Submission:
    """What one learner handed in.

    Attributes:
        learner: name of the file or folder, without its ending.
        answers: question → text of the program that has the answer.
        notes: what was refused, ignored, or chosen among several, a sentence each.
        digest: sha256 of all that was read; "" if the reading itself ended badly.
        runs: question → what the report of likeness compares, see similarity.runs_of.
        unread: those of the notes that are on something which may hold answers and cannot be read.
        shapes: question → digest of the answer's syntax, see shape_of.
    """

    learner: str
    answers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    digest: str = ""
    runs: dict[str, list[int]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    shapes: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A submission, or a file in it, that is not taken; the message says why."""


def checked(learner: str, fields: dict) -> Submission:
    """Returns a submission from what a reader said of it, who may have been taken over.

    Raises:
        ValueError: it is none.
    """
    submission = Submission(learner, **fields)
    answers, notes, runs = submission.answers, submission.notes, submission.runs
    unread, shapes = submission.unread, submission.shapes
    if not all(isinstance(one, dict) for one in (answers, runs, shapes)):
        raise ValueError("dictionaries are expected")
    if not isinstance(notes, list) or not isinstance(unread, list) or len(unread) > MOST_NOTES:
        raise ValueError("lists are expected, and no long ones")
    texts = [*answers, *answers.values(), *notes, *runs, submission.digest]
    texts += [*unread, *shapes, *shapes.values()]
    numbers = [one for given in runs.values() for one in given]
    if not all(isinstance(one, str) for one in texts) or len(notes) > MOST_NOTES + 1:
        raise ValueError("texts, and not too many, are expected")
    if not all(type(one) is int and 0 <= one < 2**64 for one in numbers):
        raise ValueError("digests are expected")
    if any(len(given) > MOST_RUNS for given in runs.values()):
        raise ValueError("too many digests")
    submission.notes = [one_line(note)[:LONGEST_NOTE] for note in notes]
    submission.unread = [one_line(note)[:LONGEST_NOTE] for note in unread]
    return submission


def learner_of(path: Path) -> str:
    """Returns the name of the learner whose submission this is, escaped for all places."""
    return sender_of(path)[0]


def sender_of(path: Path) -> tuple[str, str, bool]:
    """Returns the learner's name, the number that Moodle or Canvas gave, "" if none, and whether
    Canvas calls it late.
    """
    is_folder = path.is_dir()
    name = path.name if is_folder else path.stem.removesuffix(".tar")
    if found := MOODLE.fullmatch(name) or (not is_folder and CANVAS.fullmatch(name)):
        late = bool(found.groupdict().get("late"))
        return escaped_name(found["name"]), found["number"], late
    return escaped_name(name), "", False


def take_in(path: Path, questions: Iterable[str], more: Iterable[Path] = ()) -> Submission:
    """Returns one learner's answers.

    Args:
        path: a folder, .py, .ipynb or .zip.
        questions: names of the functions or classes that are asked for.
        more: further ones of the same learner; all are read together.
    """
    submission = Submission(learner_of(path))
    notes: list[str] = []
    paths = [path, *more]
    if len(paths) > 1:
        notes.append(f"{', '.join(one.name for one in paths)}: read together")
    if any(sender_of(one)[2] for one in paths):
        notes.append("handed in late")
    files = _within_bounds(paths, notes)
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        head = f"{len(name)} {name} {len(content)} "
        digest.update(head.encode("utf-8", "surrogatepass") + content)
    submission.digest = digest.hexdigest()
    if not files and not any(isinstance(note, Fault) for note in notes):
        notes.append(Fault("no .py file and no notebook in it"))
    _choose(set(questions), files, submission, notes)
    submission.runs = {name: runs_of(text, name) for name, text in submission.answers.items()}
    submission.shapes = {name: shape_of(text, name) for name, text in submission.answers.items()}
    submission.unread = [note for note in notes if isinstance(note, Fault)][:MOST_NOTES]
    submission.unread = [one_line(note)[:LONGEST_NOTE] for note in submission.unread]
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES} more notes"]
    submission.notes = [one_line(note)[:LONGEST_NOTE] for note in notes]
    return submission


def shape_of(text: str, name: str) -> str:
    """Returns a digest of a function or class less docstrings, comments and layout; "" if it is
    not there. That of an untouched stub tells that an answer was not begun.
    """
    found = [node for node in statements_of(text) if _defines(node) == name]
    if not found:
        return ""
    for node in ast.walk(found[-1]):
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(found[-1]).encode("utf-8", "replace")).hexdigest()


def _within_bounds(paths: list[Path], notes: list[str]) -> dict[str, bytes]:
    """Name and content of the files of one learner's entries, if they are not too large."""
    read: dict[str, bytes] = {}
    size = 0
    for path in paths:
        before = f"{path.name}/" if len(paths) > 1 else ""
        try:
            for name, content in _files(path, notes):
                size += len(content)
                if size > LARGEST_IN_ALL:
                    notes.append(Fault(f"more than {LARGEST_IN_ALL / 1e6:g} MB in all; refused"))
                    return {}
                read[before + name] = content
        except (Refused, OSError) as error:
            notes.append(Fault(f"{path.name}: {getattr(error, 'strerror', None) or error}"))
            for name in [one for one in read if one.startswith(before)]:
                del read[name]
    return read


def _choose(
    questions: set[str], files: dict[str, bytes], submission: Submission, notes: list[str]
) -> None:
    """Find the one program with each answer; of several, the largest answer, with a note."""
    sizes: dict[str, dict[str, int]] = {}  # question → file → size of the answer there
    for name in sorted(files):
        for question, text in _answers_in(name, files[name], questions, notes).items():
            (node,) = [one for one in ast.parse(text).body if _defines(one) == question][-1:]
            sizes.setdefault(question, {})[name] = sum(1 for _ in ast.walk(node))
            if sizes[question][name] == max(sizes[question].values()):
                submission.answers[question] = text
    for question, found in sorted(sizes.items()):
        taken = max(found, key=lambda name: (found[name], name))
        if len(found) > 1:
            notes.append(f"{question} is in several files; the one in {taken} was taken")
        for other in sorted(_beside(submission.answers[question], taken, files)):
            notes.append(
                f"{taken} imports {other}, a file beside it, which is not there when {question} "
                "is run: put both into one file"
            )


def _defines(node: ast.stmt) -> str:
    """The name of the function or class that a statement defines, or ""."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return node.name if isinstance(node, kinds) else ""


def _beside(text: str, name: str, files: Iterable[str]) -> set[str]:
    """The modules that a program imports and that are files of the same folder."""
    folder = PurePosixPath(name).parent
    there = {PurePosixPath(one).stem for one in files if PurePosixPath(one).parent == folder}
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            own = [node.module] if node.module else [one.name for one in node.names]
            imported |= {one.partition(".")[0] for one in own}
    return imported & there - {PurePosixPath(name).stem}


def _answers_in(name: str, content: bytes, questions: set[str], notes: list[str]) -> dict[str, str]:
    """Question → text of the program; none, with a note, if the file is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of "\\d" and the like
            if name.lower().endswith(".ipynb"):
                found = notebooks.answers_in(content, name, questions, notes)
                return {one: text for one, text in found.items() if ast.parse(text)}
            text = _text_of(content)
            return dict.fromkeys(questions & set(map(_defines, ast.parse(text).body)), text)
    except SyntaxError as error:
        notes.append(Fault(f"{name}: line {error.lineno}: {error.msg}"))
    except (Refused, notebooks.NoNotebook) as error:
        notes.append(Fault(f"{name}: {error}"))
    except (ValueError, RecursionError, MemoryError) as error:
        notes.append(Fault(f"{name}: not Python: {type(error).__name__}"))
    return {}


def _text_of(content: bytes) -> str:
    """The text of a Python file.

    Raises:
        Refused: not in the encoding it should have.
    """
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(content).readline)[0]
        if encoding in ENCODINGS:
            return content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise Refused("not text in UTF-8; save it as UTF-8") from error
    raise Refused(f"in the encoding {encoding}; save it as UTF-8")


# Files


def _files(path: Path, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the .py files and notebooks of a submission."""
    kind = path.lstat().st_mode
    if stat.S_ISDIR(kind):
        yield from _in_folder(path, notes)
    elif not stat.S_ISREG(kind):
        raise Refused("a link, device or pipe; refused")
    elif path.suffix.lower() == ".zip":
        yield from _in_zip(_read(path, LARGEST_ZIP), notes)
    elif path.suffix.lower() in ENDINGS:
        yield path.stem + path.suffix.lower(), _read(path, _largest(path.name))
    else:
        raise Refused(NO_ANSWER)


def _largest(name: str) -> int:
    sizes = {".ipynb": LARGEST_NOTEBOOK, ".zip": LARGEST_ZIP}
    return sizes.get(Path(name).suffix.lower(), LARGEST_TEXT)


def _read(path: Path, most: int) -> bytes:
    """The bytes of a regular file; never through a link, never more than allowed."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Refused("a link, device or pipe; refused")
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
                notes.append(Fault(f"{relative / name}: a link to a folder; refused"))
            if linked or name.startswith(".") or name == "__pycache__":
                folders.remove(name)
        folders.sort()
        count += len(folders)
        if len(relative.parts) >= DEEPEST and folders:
            notes.append(Fault(f"{relative}: folders deeper than {DEEPEST} are not looked into"))
            folders.clear()
        for name in sorted(names):
            count += 1
            if count > MOST_FILES:
                raise Refused(f"more than {MOST_FILES} files and folders; refused")
            shown = (relative / name).as_posix()
            packed = name.lower().endswith(".zip")
            if not packed and not _is_answer(shown, notes):
                continue
            try:
                content = _read(Path(folder, name), _largest(name))
                if packed:  # a zip handed in through a form that makes a folder for each learner
                    for inside, text in _in_zip(content, notes):
                        yield f"{shown}/{inside}", text
                else:
                    yield shown, content
            except (Refused, OSError) as error:
                notes.append(Fault(f"{shown}: {getattr(error, 'strerror', None) or error}"))


def _is_answer(name: str, notes: list[str]) -> bool:
    """Whether a file is read: Python text and notebooks, but none that tools would obey."""
    if NEVER_READ.search(name):
        notes.append(f"{name}: ignored")
        return False
    if name.lower().endswith(OTHER_ENDINGS):
        notes.append(Fault(f"{name}: {NO_ANSWER}"))
    return name.lower().endswith((".py", ".ipynb"))


def _in_zip(content: bytes, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    if content.count(b"PK\x01\x02") > 10 * MOST_FILES:  # before a list of them is made
        raise Refused("a zip of too many entries; refused")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = check_archive(archive, LARGEST_ZIP, MOST_FILES)
    except ArchiveError as error:
        raise Refused(str(error)) from error
    except Exception as error:  # zipfile has many for what is damaged
        raise Refused(f"not a zip file: {type(error).__name__}") from error
    _check_names(entries)
    for entry in entries:
        name = entry.filename
        hidden = any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
        if entry.is_dir() or hidden or not _is_answer(name, notes):
            continue
        try:
            with archive.open(entry) as file:
                text = file.read(_largest(name) + 1)
        except Exception as error:  # damaged, encrypted
            notes.append(Fault(f"{name}: cannot be unpacked: {type(error).__name__}"))
            continue
        if len(text) > _largest(name):
            raise Refused(f"{name} is larger than {_largest(name) / 1e6:g} MB; refused")
        yield name, text


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
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
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused("a zip packed in an unusual way; refused")

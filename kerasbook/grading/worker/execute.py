"""Inside the walls: load the learner's text, answer calls one at a time. Nothing here is secret."""

import contextlib
import errno
import linecache
import sys
import traceback
import types

import numpy as np

from .values import BadValue, as_outputs, join_inputs
from .wire import ProtocolError, pack, parse

FILE = "solution.py"
LONGEST = 2000
# The box is full, or the memory.
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.ENOMEM)


class Forbidden(Exception):
    """The exercise asks to do without this."""


class Missing(Exception):
    """The file does not define what was asked for."""


def serve_question(replies):
    """Answers "load" and "call" messages until the grader hangs up."""
    received = bytearray()
    question = Question()
    while (message := next_message(replies, received)) is not None:
        fields, arrays = message
        answer, outputs = question.answer(fields, arrays)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        replies.sendall(pack(answer, outputs))


def next_message(replies, received: bytearray):
    """Waits for one whole message; None when the grader has hung up."""
    while True:
        try:
            message = parse(received)
        except ProtocolError:
            return None
        if message:
            fields, arrays, used = message
            del received[:used]
            return fields, arrays
        piece = replies.recv(1 << 20)
        if not piece:
            return None
        received += piece


class Question:
    """One learner's answer to one question."""

    def __init__(self):
        self.memory = {}

    def answer(self, fields, arrays):
        """Returns the reply to one message: its fields and arrays."""
        try:
            if fields["do"] == "load":
                self.load(fields, arrays)
                return {"status": "ok"}, {}
            if fields["first"]:
                self.memory = {}
            return self.call(fields, arrays)
        except (BadValue, Missing) as error:
            status = "missing" if isinstance(error, Missing) else "fail"
            return {"status": status, "message": str(error)[:LONGEST]}, {}
        except BaseException as error:  # SystemExit and KeyboardInterrupt are errors too
            return {"status": status_of(error), "message": describe(error)}, {}

    def load(self, fields, arrays):
        """Runs the text of the submission, and finds the function or class in it."""
        self.outputs = fields["outputs"]
        drive = types.ModuleType("driver")
        exec(compile(fields["driver"], "driver.py", "exec"), drive.__dict__)
        self.drive = getattr(drive, "drive", lambda solution, inputs, memory: solution(**inputs))
        for name in fields["forbidden"]:
            take_away(name)
        sys.meta_path.insert(0, NoBook())
        source = bytes(arrays["source"]).decode("utf-8", "surrogatepass")
        linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)
        module = types.ModuleType("submission")
        module.__file__ = FILE
        module.__loader__ = Loader(source)
        sys.modules["submission"] = module
        exec(compile(source, FILE, "exec", dont_inherit=True), module.__dict__)
        if fields["name"] not in module.__dict__:
            raise Missing(f"there is no {fields['name']} in the file")
        self.solution = module.__dict__[fields["name"]]

    def call(self, fields, arrays):
        """Calls the solution once, through the exercise's driver."""
        inputs = join_inputs(fields, arrays)
        value = self.drive(self.solution, inputs, self.memory)
        outputs = as_outputs(value, self.outputs)
        after = {
            f"input {name}": as_plain(value)
            for name, value in inputs.items()
            if isinstance(value, np.ndarray)
        }
        return {"status": "ok"}, {**outputs, **after}


class Loader:
    """Knows the text of the answer: AutoGraph has linecache ask for it again."""

    def __init__(self, source: str):
        self.source = source

    def get_source(self, name):
        """Returns the source; see importlib."""
        return self.source


def as_plain(array):
    """Returns an input as it is now; an empty array if it was made into something that cannot be
    sent.
    """
    return array if type(array) is np.ndarray and array.dtype.kind in "biufc" else np.zeros(0)


class NoBook:
    """Finds no `kerasbook`: an answer is written with NumPy, TensorFlow and Keras."""

    def find_spec(self, name, path=None, target=None):
        """Refuses what is taken away; see importlib."""
        if name.partition(".")[0] == "kerasbook":
            raise ImportError("kerasbook cannot be imported while answers are checked")


def take_away(name: str):
    """Makes a function, method or class unusable by whatever way it is reached."""
    first, *rest = name.split(".")
    owner, target = None, sys.modules.get(first)
    for part in rest:
        owner, target = target, getattr(target, part, None)
    if target is None:
        return

    def refuse(self=None, *args, **kwargs):  # `self`, as Keras looks at the arguments of methods
        raise Forbidden(f"{name} must not be used in this exercise")

    if isinstance(target, type):
        for method in ("__new__", "__init__", "__call__", "call", "build"):
            with contextlib.suppress(TypeError, AttributeError):
                setattr(target, method, refuse)
        return
    with contextlib.suppress(TypeError, AttributeError):
        setattr(owner, rest[-1], refuse)  # the owner may be a class
    for module in list(sys.modules.values()):
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if value is target:
                with contextlib.suppress(TypeError, AttributeError):
                    setattr(module, key, refuse)


def status_of(error: BaseException) -> str:
    """Returns the status that an exception stands for."""
    if isinstance(error, Forbidden):
        return "forbidden"
    names = {one.__name__ for one in type(error).__mro__}
    if names & {"MemoryError", "ResourceExhaustedError"}:
        return "memory"
    if isinstance(error, OSError) and error.errno in FULL:
        return "memory"
    return "error"


def describe(error: BaseException) -> str:
    """Returns an exception in a few lines, those of the learner's file only."""
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:
        text = f"{type(error).__name__}: (its message cannot be shown)"
    lines = [str(text)[:LONGEST]]
    with contextlib.suppress(BaseException):
        for frame in traceback.extract_tb(error.__traceback__)[-50:]:
            if frame.filename == FILE:
                lines.append(f"  line {frame.lineno}, in {frame.name}: {frame.line}")
    if isinstance(error, PermissionError | FileNotFoundError):
        lines.append("  Answers are checked without network, other programs, or files outside.")
    return "\n".join(lines[:1] + lines[1:][-6:])[:LONGEST]

"""The submissions of a hostile learner, and the status that each must get.

Every one is written so that it does no harm if it gets through: it aims at a decoy folder, a decoy
process, and listeners of the test's own on this machine; it forks at most 200 times, takes at most
twice the memory, and writes at most 64 MB beyond the quota.

Before each source stand the names of what it may aim at:

    DECOY     a folder with files, beside everything; DECOY/secret.txt, DECOY/.git, DECOY/course
    VICTIM    the number of a sleeping process
    PORT      a TCP and UDP port of 127.0.0.1 on which someone listens
    SOCKET    the path of a Unix datagram socket, STREAM that of a Unix stream socket
    ABSTRACT  the name of an abstract Unix datagram socket
    BOOK      the folder of the package kerasbook
    LIBRARY   a file of the Python environment
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

FULL = 4.0
OUTSIDE = ("PermissionError", "FileNotFoundError")  # at level 1 what is outside is not there


@dataclass(frozen=True)
class Attack:
    """A submission and what it must get."""

    name: str
    required: tuple[str, ...]  # more than one status where each of them tells the truth
    source: str
    seconds: float  # limit of the exercise
    exercise: str  # "softened" or "gated"
    points: float
    told: tuple[str, ...]  # one of them must stand in the message
    printed: str  # must stand in what it printed


ATTACKS: list[Attack] = []


def attack(
    name, required, source, seconds=3.0, exercise="softened", points=0.0, told="", printed=""
):
    """Add to the list."""
    required = (required,) if isinstance(required, str) else tuple(required)
    told = (told,) if isinstance(told, str) else told
    text = textwrap.dedent(source).lstrip("\n")
    ATTACKS.append(Attack(name, required, text, seconds, exercise, points, told, printed))


def inside(name, required, body, **more):
    """An attack whose body runs when the function is called; it returns zeros unless it does."""
    body = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    source = f"""import ctypes, gc, os, signal, socket, sys, threading, time
import numpy as np
libc = ctypes.CDLL(None, use_errno=True)

def softened(values, factor):
{body}
    return np.zeros_like(values)
"""
    attack(name, required, source, **more)


# Leaving before there is a verdict

attack("exit_at_import", "error", "import sys\nsys.exit(0)")
inside("exit_in_function", "error", "sys.exit(0)")
inside("raw_exit", "crash", "os._exit(0)", told="ended itself (status 0)")
inside("raw_exit_like_a_signal", "crash", "os._exit(128 + signal.SIGXCPU)", told="status 152")
attack("raw_exit_at_import", "crash", "import os\nos._exit(0)")
inside("kill_oneself", "crash", "os.kill(os.getpid(), signal.SIGKILL)", told="SIGKILL")
inside("abort", "crash", "os.abort()", told="SIGABRT")
inside("null_pointer", "crash", "ctypes.string_at(0)", told="SIGSEGV")
inside("illegal_call", "crash", "os.kill(os.getpid(), signal.SIGSYS)")
inside("skip_test", "error", "import unittest\nraise unittest.SkipTest('not today')")
attack(
    "pytest_skip",
    "error",  # with pytest installed or not
    """
    import pytest
    pytest.skip("not today", allow_module_level=True)
    """,
)
inside("pytest_xfail", "error", "import pytest\npytest.xfail('known')")
inside("keyboard_interrupt", "error", "raise KeyboardInterrupt")
inside("generator_exit", "error", "raise GeneratorExit")
inside(
    "c_stack",
    ("crash", "error", "memory"),  # Python 3.12 and later stop it with RecursionError
    """
    sys.setrecursionlimit(10**9)
    def deeper(_):
        return sorted([0], key=deeper)
    deeper(0)
    """,
)
inside(
    "main_thread_leaves",
    "crash",  # without a main thread a process shows no memory
    """
    def others():
        time.sleep(0.1)
        held = [b"x" * 2**20 for _ in range(64)]
        time.sleep(60)
    threading.Thread(target=others).start()
    libc.syscall(60, 0)
    """,
    told="main thread",
)
inside(
    "closes_its_connection",
    ("timeout", "crash"),  # it lives on and says nothing
    """
    os.close(3)
    time.sleep(60)
    """,
    seconds=0.5,
)
inside(
    "stops_listening",
    "timeout",  # the next call can never be sent
    """
    sys.modules["worker.execute"].next_message = lambda *args: time.sleep(60)
    socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RD)
    return factor * np.tanh(values)
    """,
    seconds=1,
)
inside(
    "atexit_loop",
    "pass",  # a right answer; its farewell is never called
    """
    import atexit
    def for_ever():
        while True:
            pass
    atexit.register(for_ever)
    return factor * np.tanh(values)
    """,
    points=FULL,
)
inside(
    "honest_autograph",
    "pass",  # no attack: TensorFlow rewrites the loop, by way of a file in the box
    """
    import tensorflow as tf
    @tf.function
    def slowly(x):
        total = tf.zeros_like(x)
        while tf.reduce_any(total < 0.5):
            total += 1.0
        return tf.tanh(x) * total
    return factor * slowly(tf.constant(values)).numpy()
    """,
    seconds=30,
    points=FULL,
)
inside(
    "thread_goes_on",
    "pass",  # a right answer; the thread ends with its process
    """
    def for_ever():
        while True:
            time.sleep(0.001)
    threading.Thread(target=for_ever).start()
    return factor * np.tanh(values)
    """,
    points=FULL,
)
attack("syntax_error", "error", "def softened(values, factor)\n    return 1")
attack("empty", "missing", "")
attack("wrong_name", "missing", "def soft(values, factor):\n    return values")
attack("nul_byte", "error", "x = '\0'")
attack(
    "lone_surrogate",
    "error",
    "x = '\ud800'\ndef softened(values, factor):\n    raise ValueError(x)",
)
attack("too_nested", ("error", "memory", "crash"), "x = " + "(" * 5000 + ")" * 5000)
attack("long_unary", ("error", "memory", "crash"), "x = " + "-" * 200_000 + "1")
attack(
    "long_comment",
    "pass",  # two megabytes, and right
    "import numpy as np\n# " + "ы" * 1_000_000 + "\n"
    "def softened(values, factor):\n    return factor * np.tanh(values)\n",
    points=FULL,
)

# Forging the verdict

inside(
    "perfect_report",
    "fail",
    r"""
    print('{"score": 100, "status": "pass", "tests": [{"status": "pass"}]}')
    print("\x1b[2J\x1b[31m10 passed, 0 failed\n::set-output name=result::pass\n::error::none")
    print("\x1b]0;title\x07 \u202e reversed <script>alert(1)</script>", flush=True)
    """,
    printed="10 passed, 0 failed",
)
inside("prints_much", "fail", "print('10 passed ' * 1_000_000)", printed="10 passed")
inside(
    "pass_to_every_descriptor",
    "protocol",
    """
    for number in range(256):
        try:
            os.write(number, b"pass" * 10)
        except OSError:
            pass
    """,
)
inside(
    "own_reply",
    ("protocol", "fail"),  # two replies at once, or a wrong one and then one too many
    """
    import json, struct
    header = json.dumps({"status": "ok", "arrays": [["result", "float64", [len(values)]]]})
    os.write(3, struct.pack("<I", len(header)) + header.encode() + bytes(8 * len(values)))
    """,
)
attack(
    "reply_at_import",
    ("protocol", "fail"),
    """
    import json, os, struct
    header = json.dumps({"status": "ok", "arrays": [["result", "float64", [3]]]})
    os.write(3, struct.pack("<I", len(header)) + header.encode() + bytes(24))

    def softened(values, factor):
        return values * 0
    """,
)


def says(name, header, body="b''", required="protocol", **more):
    """An attack that sends a header of its own making."""
    inside(
        name,
        required,
        f"""
        import json, struct
        header = {header}
        os.write(3, struct.pack("<I", len(header)) + header + {body})
        time.sleep(60)
        """,
        **more,
    )


says("petabyte", """b'{"status": "ok", "arrays": [["result", "float64", [1125899906842624]]]}'""")
says(
    "many_zeros",
    """b'{"status": "ok", "arrays": [["r", "int8", [0, 9999999, 9999999, 9999999]]]}'""",
)
says("nine_dimensions", """b'{"status": "ok", "arrays": [["r", "int8", [1,1,1,1,1,1,1,1,1]]]}'""")
says("negative_size", """b'{"status": "ok", "arrays": [["result", "float64", [-1]]]}'""")
says("size_is_true", """b'{"status": "ok", "arrays": [["result", "float64", [true]]]}'""")
says("object_dtype", """b'{"status": "ok", "arrays": [["result", "object", [1]]]}'""", "bytes(8)")
says(
    "structured_dtype", """b'{"status": "ok", "arrays": [["r", [["f", "O"]], [1]]]}'""", "bytes(8)"
)
says("half_a_bool", """b'{"status": "ok", "arrays": [["result", "bool", [1]]]}'""", r"b'\7'")
says("nested_json", """b'{"arrays": ' + b'[' * 60_000""")
says("long_number", """b'{"arrays": [], "status": ' + b'9' * 60_000 + b'}'""")
says("status_of_its_own", """b'{"arrays": [], "status": "pass"}'""")
says("status_internal", """b'{"arrays": [], "status": "internal"}'""")
says("no_text_message", """b'{"arrays": [], "status": "error", "message": [1]}'""")
says("not_json", """b'status: pass'""")
says("pickle", """__import__("pickle").dumps({"status": "ok"})""")
inside("long_header", "protocol", r"os.write(3, b'\xff\xff\xff\x7f{'); time.sleep(60)")
says(
    "control_characters",
    r"""json.dumps({"arrays": [], "status": "error",
                "message": "\x1b[2J\x07\ud800\u202e\x9b" * 500}).encode()""",
    required="error",
    seconds=1,
    told="\\x1b[2J\\x07\\ud800\\u202e\\x9b",
)
says(
    "promises_much",
    """b'{"status": "ok", "arrays": [["result", "int8", [60000000]]]}'""",
    required="timeout",
    seconds=0.5,
)
inside(
    "trickle",
    "timeout",  # always something to read, never a whole reply
    """
    import json, struct
    filler = "x" * 60_000
    header = json.dumps({"filler": filler, "arrays": [["result", "int8", [60_000_000]]]}).encode()
    os.write(3, struct.pack("<I", len(header)) + header)
    while True:
        os.write(3, b"x")
    """,
    seconds=0.5,
)
inside(
    "patched_comparisons",
    "fail",
    """
    import builtins, math, unittest
    yes = lambda *args, **kwargs: True
    np.testing.assert_allclose = np.allclose = np.isclose = np.array_equal = yes
    math.isclose = builtins.all = builtins.abs = unittest.TestCase.assertEqual = yes
    """,
)
inside(
    "patched_worker",
    ("protocol", "crash", "fail"),  # what it breaks is its own way to answer
    """
    for name, module in list(sys.modules.items()):
        if name.startswith(("worker", "kerasbook")):
            for attribute in ("pack", "as_outputs", "parse", "describe", "grade"):
                if hasattr(module, attribute):
                    setattr(module, attribute, lambda *args, **kwargs: b"pass")
    """,
)
inside(
    "patched_json",
    ("protocol", "crash"),
    """
    import json, pickle
    json.dumps = pickle.dumps = lambda *args, **kwargs: "pass"
    sys.stdout = sys.stderr = None
    """,
)
inside(
    "patched_array",
    ("fail", "crash"),
    """
    class Sly:
        def __getattr__(self, name):
            return self
        def __call__(self, *args, **kwargs):
            return self
    np.array = np.ascontiguousarray = Sly()
    """,
)
inside(
    "frame_walk",
    "fail",
    """
    frame, found = sys._getframe(), []
    while frame:
        for name, value in frame.f_locals.items():
            if name in ("expected", "exercise", "key", "case", "reference", "points", "result"):
                found.append(name)
        frame = frame.f_back
    print("found", found)
    """,
    printed="found []",
)
inside(
    "garbage_walk",
    "fail",
    """
    found = 0
    for one in gc.get_objects():
        kind = type(one)
        if str(kind.__module__).startswith("kerasbook") or kind.__name__ in ("Exercise", "Case"):
            found += 1
    print("found", found, [name for name in sys.modules if name.startswith("kerasbook")])
    """,
    printed="found 0 []",
)

# Values that fool a careless comparison

RIGHT = "factor * np.tanh(values)"
inside(
    "always_equal",
    "fail",
    """
    class AlwaysEqual:
        def __eq__(self, other):
            return True
        __le__ = __lt__ = __ge__ = __gt__ = __eq__
    return AlwaysEqual()
    """,
    told="AlwaysEqual",
)
inside(
    "odd_float",
    "fail",
    """
    class Odd(np.float64):
        __abs__ = __sub__ = __rsub__ = lambda self, *other: Odd(0)
        __lt__ = __le__ = __eq__ = lambda self, other: True
    return Odd(0)
    """,
)
inside(
    "odd_array",
    "fail",
    """
    class Odd(np.ndarray):
        __sub__ = __rsub__ = lambda self, other: np.zeros(self.shape)
        __eq__ = __le__ = lambda self, other: np.ones(self.shape, bool)
        def __array_ufunc__(self, *args, **kwargs):
            return np.ones(self.shape, bool)
    return np.full(values.shape, 9.0).view(Odd)
    """,
)
inside("all_masked", "fail", "return np.ma.masked_all(values.shape)", told="masked")
inside("not_a_number", "fail", "return values * np.nan", told="nan")
inside("infinite", "fail", "return values * 0 + np.inf", told="inf")
inside("scalar", "fail", "return 0.0", told="shape")
inside("one_value", "fail", "return np.zeros((1, 1, 1))", told="shape")
inside("nothing", "fail", "return np.zeros(0)", told="shape")
inside("column", "fail", f"return ({RIGHT})[:, None]", told="one axis of length 1 too many")
inside("half_precision", "fail", f"return ({RIGHT}).astype('float16')", told="dtype float16")
inside("complex_numbers", "fail", f"return ({RIGHT}) + 5j", told="dtype complex128")
inside("text", "fail", f"return ({RIGHT}).astype(str)", told="dtype <U")
inside("truth", "fail", "return np.ones(values.shape, bool)", told="dtype bool")
inside("none", "fail", "return None", told="returned None")
inside("two_values", "fail", f"return {RIGHT}, {RIGHT}")
inside("its_own_accuracy", "fail", "return {'accuracy': 1.0, 'loss': 0.0, 'passed': True}")
inside("not_a_number_loss", "fail", "return float('nan')")
inside(
    "object_array",
    "fail",
    """
    class Hook:
        def __reduce__(self):
            return print, ("unpickled",)
    return np.array([Hook() for _ in values], object)
    """,
    told="dtype object",
)
inside(
    "array_hook",
    "fail",
    """
    class Hook:
        def __array__(self, *args, **kwargs):
            print("asked in process", os.getpid(), flush=True)
            return np.zeros(len(values))
    return Hook()
    """,
    printed="asked in process",
)
inside(
    "numpy_hook",
    "fail",
    """
    class Hook:
        def numpy(self):
            return self
    return Hook()
    """,
)
inside("huge_result", ("protocol", "memory"), "return np.broadcast_to(0.0, (2**27,))", seconds=10)
inside(
    "changed_inputs",
    "fail",
    """
    values *= 0
    values += 1
    """,
)
inside(
    "right_but_changed_inputs",
    "fail",
    f"""
    right = {RIGHT}
    values += 1
    return right
    """,
    told="the input 'values' was changed",
)
attack(
    "public_answers",
    "fail",  # the public case passes, and gives nothing
    """
    import numpy as np

    def softened(values, factor):
        return np.array([0.0, 2 * np.tanh(1.0), -2 * np.tanh(2.0)])
    """,
)

# Exceptions

inside(
    "speechless",
    "error",
    """
    class Speechless(Exception):
        def __str__(self):
            raise SystemExit(0)
    raise Speechless
    """,
)
inside(
    "passed_in_the_name",
    "error",
    r"""
    raise type("AssertionError\n\nPASSED\x1b[32m", (Exception,), {})("10 of 10")
    """,
)
inside("long_message", "error", "raise ValueError('x' * 10**7)")
inside(
    "nameless",
    ("error", "crash"),
    """
    class Meta(type):
        @property
        def __name__(cls):
            os._exit(0)
        __mro__ = None
    class Nameless(Exception, metaclass=Meta):
        pass
    raise Nameless
    """,
)
inside(
    "group",
    "error",
    """
    raise BaseExceptionGroup("many", [SystemExit(0)] * 1000)
    """,
)
inside(
    "endless_causes",
    "error",
    """
    first = ValueError("first")
    first.__cause__ = first.__context__ = first
    raise first
    """,
)

# Reading what is not for learners

attack("imports_the_book", "error", "import kerasbook.grading.question", told="cannot be imported")
inside(
    "imports_past_the_guard",
    "error",  # the finder can be removed; the files stay unreadable
    """
    sys.meta_path[:] = [one for one in sys.meta_path if type(one).__name__ != "NoBook"]
    sys.path.insert(0, os.path.dirname(BOOK))
    import kerasbook.exercises.chapter1.huber
    """,
)
inside("reads_the_reference", "error", "open(BOOK + '/exercises/chapter1/huber.py').read()")
inside("lists_the_book", "error", "os.listdir(BOOK)", told=OUTSIDE)
inside("reads_the_compiled_book", "error", "os.listdir(BOOK + '/exercises/__pycache__')")
inside("reads_a_secret", "error", "open(DECOY + '/secret.txt').read()", told=OUTSIDE)
inside("reads_git", "error", "open(DECOY + '/.git/HEAD').read()", told=OUTSIDE)
inside("reads_passwords", "error", "open('/etc/passwd').read()", told=OUTSIDE)
inside("reads_through_proc", "error", "open('/proc/self/root' + DECOY + '/secret.txt').read()")
inside(
    "reads_through_a_link",
    "error",
    """
    os.symlink(DECOY + "/secret.txt", "link")
    open("link").read()
    """,
    told=OUTSIDE,
)
inside("hard_link", "error", "os.link(DECOY + '/secret.txt', 'mine')\nopen('mine', 'w')")
inside("moves_a_secret", "error", "os.rename(DECOY + '/secret.txt', 'mine')")
inside("lists_boxes", "error", "os.listdir(os.path.dirname(os.getcwd()))", told=OUTSIDE)
inside("shared_memory", "error", "open('/dev/shm/kerasbook-decoy', 'w')", told=OUTSIDE)
inside(
    "shared_memory_of_python",
    "error",
    """
    from multiprocessing import shared_memory
    shared_memory.SharedMemory(create=True, size=100)
    """,
)
inside("memory_file", "error", "os.memfd_create('x')", told="PermissionError")
inside(
    "other_processes",
    "fail",
    """
    found = []
    for number in {os.getppid(), VICTIM, 1} - {0}:
        for name in ("environ", "cmdline", "maps", "mem", "root/etc/hostname", "fd"):
            try:
                path = f"/proc/{number}/{name}"
                found.append(os.listdir(path) if name == "fd" else open(path, "rb").read(1))
            except OSError:
                pass
    print("found", found)
    """,
    printed="found []",
)
inside(
    "source_of_callers",
    "fail",
    """
    import inspect, linecache
    frame, text = sys._getframe(), ""
    while frame:
        try:
            text += inspect.getsource(frame)
        except OSError:
            pass
        frame = frame.f_back
    text += str(linecache.cache)
    print("found", "exercise" + ".reference" in text)
    """,
    printed="found False",
)
inside(
    "environment",
    "fail",
    """
    known = {"PATH", "LANG", "HOME", "TMPDIR", "PWD", "KERAS_HOME", "MPLCONFIGDIR", "KERAS_BACKEND"}
    odd = {name for name in os.environ if name not in known and "NUM_THREADS" not in name}
    print(sorted(odd - {"PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES", "LC_CTYPE"}))
    """,
    printed="[",
)
inside(
    "watches_files",
    "error",
    """
    if libc.inotify_init1(0) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    """,
)

# Reaching other processes

inside(
    "writes_its_parent",
    "error",
    "open(f'/proc/{os.getppid()}/mem', 'r+b')",
)
inside(
    "traces_and_writes_memory",
    "fail",
    """
    attach, write = 16, 311
    found = []
    for number in (os.getppid(), VICTIM):
        found.append(libc.ptrace(attach, number, 0, 0))
        found.append(libc.syscall(write, number, 0, 0, 0, 0, 0))
    print("found", found)
    """,
    printed="found [-1, -1, -1, -1]",
)
inside("signals", "error", "os.kill(VICTIM, signal.SIGTERM)", told="PermissionError")
inside(
    "signals_its_parent",
    "error",
    "os.kill(os.getppid(), signal.SIGTERM)",
    told="PermissionError",
)
inside("signals_its_group", "error", "os.killpg(0, signal.SIGTERM)", told="PermissionError")
inside("signals_all", "error", "os.kill(-os.getpid(), 0)", told="PermissionError")
inside(
    "signals_by_other_calls",
    "fail",
    """
    buffer = ctypes.create_string_buffer(128)
    calls = [(200, VICTIM, 15), (234, VICTIM, VICTIM, 15), (129, VICTIM, 15, buffer)]
    calls += [(297, VICTIM, VICTIM, 15, buffer), (434, VICTIM, 0)]
    print("found", [libc.syscall(*call) for call in calls])
    """,
    printed="found [-1, -1, -1, -1, -1]",
)
inside(
    "signals_by_readiness",
    "error",
    """
    import fcntl
    reading, writing = os.pipe()
    fcntl.fcntl(reading, 10, signal.SIGTERM)
    fcntl.fcntl(reading, 8, VICTIM)
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writing, b"x")
    """,
    told="PermissionError",
)
inside("fork", "error", "for _ in range(7):\n    os.fork()", told="PermissionError")
inside(
    "fork_by_other_calls",
    "fail",
    """
    print("found", [libc.syscall(*call) for call in [(57,), (56, 17, 0, 0, 0, 0), (435, 0, 0)]])
    """,
    printed="found [-1, -1, -1]",
)
inside("runs_a_program", "error", "import subprocess\nsubprocess.run(['/bin/true'])")
inside("becomes_a_program", "error", "os.execv('/bin/true', ['true'])", told="PermissionError")
inside("shell", "fail", "os.system('> ran')\nprint(os.listdir())", printed="[]\n")
inside(
    "many_processes",
    "error",
    """
    import multiprocessing
    multiprocessing.get_context("fork").Process(target=print).start()
    """,
)
inside(
    "many_threads",
    ("crash", "error"),  # ended by the supervisor, or "can't start new thread"
    """
    for _ in range(2000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(60)
    """,
)
inside(
    "priorities",
    "fail",
    """
    found = 0
    for call in (
        lambda: os.nice(-5), lambda: os.nice(5), lambda: os.setpriority(os.PRIO_USER, 0, 19),
        lambda: os.sched_setaffinity(VICTIM, {0}), lambda: os.sched_setaffinity(0, {0}),
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    ):
        try:
            call()
            found += 1
        except OSError:
            pass
    print("found", found)
    """,
    printed="found 0",
)
inside(
    "limits_of_others",
    "error",
    "import resource\nresource.prlimit(VICTIM, resource.RLIMIT_CPU, (1, 1))",
)
inside(
    "higher_limits",
    "error",
    "import resource\nresource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)",
)
inside(
    "holds_a_library",
    "error",  # a lease would make others wait when they open the file
    "import fcntl\nfcntl.fcntl(os.open(LIBRARY, os.O_RDONLY), 1024, fcntl.F_WRLCK)",
    told="PermissionError",
)
inside(
    "outlives_its_keeper",
    "fail",
    "print('found', libc.prctl(1, 0, 0, 0, 0), libc.unshare(0x10000000))",
    printed="found -1 -1",
)
inside(
    "root_again",
    "fail",
    "print('found', [libc.syscall(call, 0, 0, 0) for call in (105, 106, 117, 116, 161, 165)])",
    printed="found [-1, -1, -1, -1, -1, -1]",
)
inside(
    "kernel_calls",
    "fail",
    """
    calls = (321, 298, 323, 425, 248, 250, 175, 246, 206, 272, 308, 303, 155, 463, 468, 470, 999)
    print("found", {libc.syscall(call, 0, 0, 0, 0, 0, 0) for call in calls})
    """,
    printed="found {-1}",
)
inside(
    "calls_of_32_bits",
    "crash",
    r"""
    import mmap
    rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, rights)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # eax = getpid of the 32-bit calls; int 0x80
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    """,
    told="SIGSYS",
)

# Time

attack("loop_at_import", "timeout", "while True:\n    pass", seconds=0.5)
inside("loop", "timeout", "while True:\n    pass", seconds=0.5)
inside(
    "loop_when_collected",
    "timeout",
    """
    class Sticky:
        def __del__(self):
            while True:
                pass
    Sticky()
    """,
    seconds=0.5,
)
inside("big_number", "timeout", "7 ** (10**9)", seconds=0.5)
inside("slow_pattern", "timeout", "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')", seconds=0.5)
inside("endless_sum", "timeout", "import itertools\nsum(itertools.repeat(0))", seconds=0.5)
inside("sleep", "timeout", "time.sleep(60)", seconds=0.5)
inside("stops_itself", "timeout", "os.kill(os.getpid(), signal.SIGSTOP)", seconds=0.5)
inside(
    "deaf_loop",
    "timeout",
    """
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass
    """,
    seconds=0.5,
)
inside("prints_for_ever", "timeout", "while True:\n    print('x' * 1000)", seconds=0.5)
inside(
    "prints_now_and_then",
    "timeout",  # always something to read, little processor time
    """
    while True:
        os.write(1, b"x")
        time.sleep(0.0005)
    """,
    seconds=0.5,
)
inside(
    "many_loops",
    "timeout",
    """
    def loop():
        while True:
            pass
    for _ in range(20):
        threading.Thread(target=loop).start()
    loop()
    """,
    seconds=0.5,
)
inside("slow_each_time", "timeout", f"time.sleep(0.6)\nreturn {RIGHT}", seconds=1)

# Memory and disk

inside("hundred_gigabytes", "memory", "bytearray(10**11)")
inside(
    "slow_leak",
    "memory",
    """
    held = []
    for _ in range(40):
        held.append(b"x" * 50 * 2**20)
    time.sleep(60)
    """,
    seconds=8,
)
inside(
    "mapped_memory",
    "memory",
    """
    import mmap
    held = mmap.mmap(-1, 2 * 2**30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for start in range(0, len(held), 4096):
        held[start] = 1
    time.sleep(60)
    """,
    seconds=8,
)
inside(
    "many_maps",
    ("memory", "fail"),  # at level 1 nothing looks at them
    """
    import mmap
    held = []
    for number in range(25_000):
        held.append(mmap.mmap(-1, 4096, 0x22, prot=1 + number % 2 * 2))
    time.sleep(0.5)
    """,
    seconds=8,
)
inside(
    "shared_memory_let_go",
    "error",  # the pages stay, and are nobody's
    """
    import mmap
    held = mmap.mmap(-1, 2**30)
    for start in range(0, len(held), 2**26):
        held[start : start + 2**26] = b"x" * 2**26
        held.madvise(mmap.MADV_DONTNEED, start, 2**26)
    print("holds", held[0], held[-1])
    """,
    seconds=8,
    told="PermissionError",
)
inside(
    "shared_memory_of_zeros",
    "error",
    """
    import mmap
    held = mmap.mmap(os.open("/dev/zero", os.O_RDONLY), 2**20, prot=mmap.PROT_READ)
    print("holds", held[0])
    """,
    told="Error",
)
inside(
    "buffers_of_sockets",
    "error",
    """
    held = []
    for _ in range(60):
        held += socket.socketpair()
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**22)
        held[-1].setblocking(False)
        held[-1].send(b"x" * 2**22)
    """,
    told="PermissionError",
)
inside(
    "open_files_of_a_thread",
    "fail",
    """
    def alone():
        print("found", libc.syscall(436, 1000, 2000, 2), flush=True)
    thread = threading.Thread(target=alone)
    thread.start()
    thread.join()
    """,
    printed="found -1",
)
inside(
    "memory_of_the_kernel",
    "fail",  # pages in pipes, larger pipes, sockets' buffers, filters, rules, swap, locks
    """
    import fcntl
    reading, writing = os.pipe()
    calls = [(278, writing, 0, 0, 0), (275, reading, 0, writing, 0, 1, 0), (276, reading, writing),
             (40, writing, reading, 0, 1), (54, 3, 1, 7, 0, 0), (317, 1, 0, 0), (157, 22, 2, 0),
             (444, 0, 0, 1), (445, 0, 0, 0, 0), (28, 0, 4096, 21), (72, writing, 1031, 2**20),
             (157, 41, 0, 0, 0, 0)]
    found = [call[0] for call in calls if libc.syscall(*call) != -1 or ctypes.get_errno() != 1]
    print("found", found)
    """,
    printed="found []",
)
inside(
    "memory_made_read_only",
    "memory",  # what may no longer be written to is held all the same
    """
    import mmap
    held = []
    for _ in range(48):
        held.append(mmap.mmap(-1, 2**25, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        for start in range(0, 2**25, 4096):
            held[-1][start] = 1
        here = ctypes.addressof(ctypes.c_char.from_buffer(held[-1]))
        libc.mprotect(ctypes.c_void_p(here), 2**25, 1)
    time.sleep(60)
    """,
    seconds=8,
)
inside(
    "huge_tensor",
    ("memory", "crash", "timeout"),  # TensorFlow waits ten seconds for memory, then gives up
    "import tensorflow as tf\ntf.zeros([10**6, 10**6])",
    seconds=1.5,
)
inside(
    "large_file",
    "memory",
    """
    with open("large", "wb") as file:
        for _ in range(128):
            file.write(b"x" * 2**20)
    """,
    seconds=8,
)
inside(
    "files_of_some_size",
    "memory",
    """
    for number in range(16):
        with open(f"file{number}", "wb") as file:
            file.write(b"x" * 2**23)
    time.sleep(60)
    """,
    seconds=8,
)
inside(
    "many_files",
    "memory",
    """
    for number in range(4000):
        open(f"file{number}", "w").close()
    time.sleep(60)
    """,
    seconds=8,
)
inside(
    "exabyte", "memory", "with open('sparse', 'wb') as file:\n    os.truncate(file.fileno(), 2**60)"
)
inside(
    "removed_but_open",
    "memory",
    """
    held = []
    for number in range(8):
        held.append(open("file", "wb", buffering=0))
        os.unlink("file")
        for _ in range(16):
            held[-1].write(b"x" * 2**20)
    time.sleep(60)
    """,
    seconds=8,
)
inside(
    "removed_but_open_in_a_thread",
    "memory",  # a thread could have open files that its process does not show
    """
    def hide():
        libc.syscall(436, 1000, 2000, 2)  # close_range with its own copy of the open files
        held = []
        for number in range(8):
            held.append(open("file", "wb", buffering=0))
            os.unlink("file")
            for _ in range(16):
                held[-1].write(b"x" * 2**20)
        time.sleep(60)
    from concurrent.futures import ThreadPoolExecutor
    ThreadPoolExecutor().submit(hide).result()
    """,
    seconds=8,
)
inside(
    "removed_but_mapped",
    "memory",
    """
    import mmap
    held = []
    for number in range(8):
        with open("file", "wb+", buffering=0) as file:
            os.unlink("file")
            for _ in range(16):
                file.write(b"x" * 2**20)
            held.append(mmap.mmap(file.fileno(), 4096))
            file.close()
        os.closerange(5, 250)
    time.sleep(60)
    """,
    seconds=8,
)
inside(
    "parked_in_a_socket",
    ("error", "memory"),  # files in flight are out of sight, so that none may be sent
    """
    here, there = socket.socketpair()
    for number in range(8):
        with open("file", "wb", buffering=0) as file:
            os.unlink("file")
            for _ in range(16):
                file.write(b"x" * 2**20)
            socket.send_fds(here, [b"x"], [file.fileno()])
    time.sleep(60)
    """,
    seconds=8,
)
inside(
    "deep_folders",
    "memory",
    """
    for _ in range(2000):
        os.mkdir("d" * 20)
        os.chdir("d" * 20)
    with open("deep", "wb") as file:
        file.write(b"x" * 2**20)
    time.sleep(0.5)
    """,
    seconds=4,
)
inside(
    "closed_folders",
    ("fail", "memory"),
    """
    os.umask(0o777)
    for number in range(20):
        os.mkdir(f"closed{number}")
    os.umask(0o477)
    os.mkdir("blind")
    with open("blind/file", "wb") as file:
        file.write(b"x")
    time.sleep(0.5)
    """,
)
inside("pipe_file", "error", "os.mkfifo('pipe')", told="PermissionError")
inside("device_file", "error", "os.mknod('device', 0o060600, os.makedev(7, 0))")
inside(
    "large_links",
    "memory",
    """
    for number in range(4000):
        os.symlink("x" * 200, f"link{number}")
    time.sleep(0.5)
    """,
)

# Destroying

inside("removes_a_tree", "error", "import shutil\nshutil.rmtree(DECOY)", told=OUTSIDE)
inside("removes_a_file", "error", "os.unlink(DECOY + '/course/gradebook.csv')")
inside("cuts_a_file", "error", "os.truncate(DECOY + '/course/gradebook.csv', 0)")
inside("writes_a_file", "error", "open(DECOY + '/course/gradebook.csv', 'a')")
inside("opens_a_mode", "error", "os.chmod(DECOY + '/secret.txt', 0o777)", told=OUTSIDE)
inside("closes_a_mode", "error", "os.chmod(DECOY, 0)", told=OUTSIDE)
inside("changes_times", "error", "os.utime(DECOY + '/secret.txt', (1, 1))")
inside("changes_owner", "error", "os.chown(DECOY + '/secret.txt', 1, 1)")
inside("adds_attribute", "error", "os.setxattr(DECOY + '/secret.txt', 'user.x', b'1')")
inside(
    "leaves_files_about",
    "fail",
    """
    names = ["results.json", "grades.csv", "progress.json", "conftest.py", "sitecustomize.py"]
    names += ["usercustomize.py", "evil.pth", "pytest.ini"]
    places = [DECOY, DECOY + "/course", BOOK, os.path.dirname(BOOK), os.path.dirname(LIBRARY)]
    places += ["/tmp", "/var/tmp", "/dev/shm", "/", "/root", "/home", os.path.expanduser("~")]
    written = []
    for place in places:
        for name in names:
            try:
                with open(os.path.join(place, "kerasbook-decoy-" + name), "x") as file:
                    file.write('{"score": 100}')
                written.append(place)
            except OSError:
                pass
    print("outside", sorted({one for one in written if one != os.getcwd()}))
    """,
    printed="outside []",
)

# Network

inside("tcp", "error", "socket.create_connection(('127.0.0.1', PORT), 1)", told="without network")
inside("udp", "error", "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))")
inside("ip_version_6", "error", "socket.socket(socket.AF_INET6)")
inside("raw_packets", "error", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)")
inside("name_lookup", "error", "socket.getaddrinfo('localhost.invalid', 80)")
inside("unix_stream", "error", "socket.socket(socket.AF_UNIX).connect(STREAM)")
inside("kernel_socket", "error", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)")
inside(
    "datagram_from_a_pair",
    "error",  # no socket() and no connect(): a pair's end can send to any name
    "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', SOCKET)",
)
inside(
    "datagram_to_an_abstract_name",
    "error",
    "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', ABSTRACT)",
)
inside(
    "raw_pair",
    "error",
    "socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW)[0].sendto(b'x', SOCKET)",
)
inside("streams_to_a_name", "error", "socket.socketpair()[0].sendto(b'x', STREAM)")
inside(
    "download",
    "error",
    """
    import urllib.request
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/mnist.npz", timeout=1)
    """,
)
inside("bound_server", "error", "socket.create_server(('127.0.0.1', 0))")

# Traces for the next question

inside(
    "leaves_traces",
    "fail",
    """
    import tensorflow as tf, keras
    os.environ["KERASBOOK_TRACE"] = "1"
    sys.path.insert(0, DECOY)
    os.umask(0)
    np.random.seed(0)
    np.tanh = lambda values: values
    np.ndarray.__module__
    keras.mixed_precision.set_global_policy("mixed_float16")
    keras.backend.set_floatx("float16")
    tf.config.run_functions_eagerly(True)
    builtins = sys.modules["builtins"]
    builtins.TRACE = True
    open("trace", "w").close()
    """,
    seconds=8,
)

# "Do not use keras.layers.GRU"

GRU = """
import keras
from keras import layers

def final_state(inputs):
    layer = {layer}
    return layer(inputs)
"""
for name, layer in {
    "by_name": "keras.layers.GRU(2)",
    "from_layers": "layers.GRU(2)",
    "by_parts": "getattr(layers, 'G' + 'RU')(2)",
    "by_its_file": "__import__('keras.src.layers.rnn.gru', fromlist=['x']).GRU(2)",
    "by_tensorflow": "__import__('tensorflow').keras.layers.GRU(2)",
    "by_its_settings": "layers.deserialize({'module': 'keras.layers', 'class_name': 'GRU',"
    " 'config': {'units': 2}, 'registered_name': None})",
    "by_from_config": "layers.GRU.from_config({'units': 2})",
    "as_a_subclass": "type('Mine', (layers.GRU,), {})(2)",
    "inside_another": "layers.Bidirectional(layers.GRU(1))",
}.items():
    attack(
        f"forbidden_{name}",
        "forbidden",
        GRU.format(layer=layer),
        seconds=8,
        exercise="gated",
        told="keras.layers.GRU must not be used",
    )

attack(
    "forbidden_method",
    "forbidden",
    """
    import keras
    import numpy as np

    def final_state(inputs):
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
        model.compile("sgd", "mse")
        model.fit(inputs, np.zeros((len(inputs), 2)), verbose=0)
    """,
    seconds=8,
    exercise="gated",
    told="keras.Model.fit must not be used",
)
attack(
    "forbidden_function",
    "forbidden",
    """
    from numpy.linalg import lstsq

    def final_state(inputs):
        return lstsq(inputs[0], inputs[0])[0]
    """,
    seconds=8,
    exercise="gated",
    told="numpy.linalg.lstsq must not be used",
)
attack(
    "forbidden_but_caught",
    "pass",  # it tries, is refused, and then does it by hand: that is what is asked for
    """
    import keras
    import numpy as np

    def final_state(inputs):
        try:
            return keras.layers.GRU(2)(inputs)
        except Exception:
            return np.zeros((len(inputs), 2), "float32")
    """,
    seconds=8,
    exercise="gated",
    points=FULL,
)

"""The supervisor of one worker: starts it, watches it, and tells the grader how it ended."""

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import time

from . import namespaces, sandbox
from .execute import serve_question
from .kernel import Unavailable
from .retry import retry
from .usage import too_full, usage

WATCH_SECONDS = 0.02
WATCH_CLOSELY_SECONDS = 0.002  # one that has more than half of what it may have


def supervise(request: dict, control: int, replies: int, output: int):
    """Runs one worker, watches it, and tells the grader how it ended; never returns."""
    status = {"ended": "internal", "message": "the supervisor failed"}
    worker = None
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sandbox.die_with_parent()
        telling, report = os.pipe()
        worker = start_worker(request, control, replies, output, telling, report)
        os.close(report)
        os.close(replies)
        os.close(output)
        status = watch(worker, request, control, telling)
    except (Unavailable, OSError) as error:
        status = {"ended": "internal", "message": str(error)[:500]}
    finally:
        if worker is not None:
            with contextlib.suppress(OSError):
                os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)
        with contextlib.suppress(OSError):
            os.write(control, json.dumps(status).encode() + b"\n")
        os._exit(0)


def start_worker(request, control, replies, output, telling, report) -> int:
    """Forks the worker; at level 1 through the first process of its namespace. Its parent's child.

    The worker writes its process number, as its supervisor sees it, into `report`.
    """
    level = request["level"]
    if level == 1:
        namespaces.new_namespaces()
    child = retry(os.fork)
    if child:
        return child
    sandbox.die_with_parent()
    os.close(control)
    os.close(telling)
    try:
        if level == 1 and (inner := retry(os.fork)):
            # Process 1 of a namespace cannot be killed from inside: it is not the learner's code.
            os.close(replies)
            os.close(output)
            os.write(report, b"%d;" % os.waitpid(inner, 0)[1])
        else:
            work(request, replies, output, report)
    finally:
        os._exit(0)


def work(request, replies, output, report):
    """Becomes the worker: standard streams, limits, walls; then the learner's code."""
    sandbox.die_with_parent()
    os.setsid()
    os.umask(0o077)
    nothing = os.open("/dev/null", os.O_RDONLY)
    first = 100  # out of the way of 0 to 4
    for number, source in enumerate((nothing, output, output, replies, report)):
        os.dup2(source, first + number)
    for number in range(5):
        os.dup2(first + number, number)
    for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"):
        if int(name) > 4:
            with contextlib.suppress(OSError):  # the one that listed
                os.close(int(name))
    for name in ("HOME", "TMPDIR", "KERAS_HOME", "MPLCONFIGDIR", "PWD"):
        os.environ[name] = request["box"]
    tempfile.tempdir = request["box"]  # for AutoGraph; the server has asked for it before
    sandbox.be_first_to_die()
    try:
        sandbox.set_limits(request["seconds"], request["memory"])
        if request["level"] == 1:
            sandbox.limit_threads()
        sandbox.enclose(request["level"], request["box"], request["view"])
        # The number that this process has in the /proc that its supervisor sees, too.
        seen_as = os.readlink("/proc/self") if sys.platform == "linux" else str(os.getpid())
    except (Unavailable, OSError, ValueError) as error:
        os.write(4, f"the walls could not be put up: {error};".encode())
        return
    os.write(4, f"{seen_as};".encode())
    os.close(4)
    serve_question(socket.socket(fileno=3))


def watch(worker: int, request: dict, control: int, telling: int) -> dict:
    """Waits for the worker's end, or ends it: told to, too much memory, disk or threads."""
    number = next_word(telling)
    if not number.isdigit():
        return {"ended": "internal", "message": number or "the worker ended before it began"}
    os.write(control, b"ready\n")  # now the learner's time begins
    listening = selectors.DefaultSelector()
    listening.register(control, selectors.EVENT_READ)
    checked_disk = time.monotonic()
    main_thread_gone = memory = threads = 0
    while True:
        large = memory > request["memory"] // 2 or threads > sandbox.MOST_THREADS // 2
        if listening.select(WATCH_CLOSELY_SECONDS if large else WATCH_SECONDS):
            return {"ended": "killed"}
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended:
            # At level 1 it was process 1 that ended, and it has told how the worker did.
            inner = next_word(telling)
            return how_it_ended(int(inner) if inner.isdigit() else status)
        state, memory, threads = usage(number)
        # Without its main thread a process shows no memory, though other threads go on.
        main_thread_gone = main_thread_gone + 1 if state == "Z" else 0
        if main_thread_gone > 5:
            return {"ended": "crash", "message": "ended its main thread"}
        if memory > request["memory"]:
            return {"ended": "memory", "message": f"more than {request['memory'] >> 20} MiB"}
        if threads > sandbox.MOST_THREADS:
            return {"ended": "crash", "message": f"more than {sandbox.MOST_THREADS} threads"}
        if request["level"] != 1 and time.monotonic() > checked_disk + 0.1:
            checked_disk = time.monotonic()
            if too_full(request["box"], number):
                return {"ended": "memory", "message": "more files, or maps of memory, than allowed"}


def next_word(telling: int) -> str:
    """Returns what is written into the pipe up to the next semicolon, or its end."""
    word = bytearray()
    while (letter := os.read(telling, 1)) and letter != b";" and len(word) < 500:
        word += letter
    return word.decode(errors="replace")


def how_it_ended(status: int) -> dict:
    """Returns a wait status in words."""
    if not os.WIFSIGNALED(status):
        return {"ended": "crash", "message": f"ended itself (status {os.WEXITSTATUS(status)})"}
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return {"ended": "timeout", "message": "processor time used up"}
    if number == signal.SIGXFSZ:
        return {"ended": "memory", "message": "a file larger than the box holds"}
    name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
    return {"ended": "crash", "message": f"killed by {name}"}

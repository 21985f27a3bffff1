"""The grader's trusted side: comparison, messages, values, points; and the levels of isolation."""

import contextlib
import errno
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from kerasbook.exercises.exercise import Case
from kerasbook.grading import folders
from kerasbook.grading import workers as workers_module
from kerasbook.grading.compare import Difference, first_difference
from kerasbook.grading.connection import LONGEST_OUTPUT
from kerasbook.grading.feedback import lines_of, render
from kerasbook.grading.folders import remove
from kerasbook.grading.in_process import InProcess
from kerasbook.grading.in_worker import InWorker
from kerasbook.grading.question import CaseResult, QuestionResult, Reply, grade, secret_seed
from kerasbook.grading.text import printable
from kerasbook.grading.worker import namespaces, seccomp, usage
from kerasbook.grading.worker import retry as retry_module
from kerasbook.grading.worker.values import (
    BadValue,
    as_array,
    as_outputs,
    join_inputs,
    split_inputs,
)
from kerasbook.grading.worker.wire import DTYPES, MAX_BYTES, MAX_HEADER, ProtocolError, needed, pack
from kerasbook.grading.worker.wire import parse as parse_message
from kerasbook.grading.workers import Workers, WorkersError

import numpy as np
import pytest
from attacks.softened import exercise
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

NAN, INF = np.nan, np.inf
HEAD = "import os, time\nimport numpy as np\n\ndef softened(values, factor):\n"
HONEST = HEAD + "    return factor * np.tanh(values)\n"


# Comparison


def difference(got, expected, **settings):
    settings = {"atol": 1e-6, "rtol": 1e-6, **settings}
    found = first_difference({"r": np.asarray(got)}, {"r": np.asarray(expected)}, **settings)
    return found.message if found else None


@pytest.mark.parametrize(
    ("got", "expected", "told"),
    [
        ([1.0, NAN], [1.0, 2.0], "nan where 2 is expected"),
        ([1.0, NAN], [1.0, NAN], "nan, expected nan"),
        ([INF], [1.0], "inf where 1 is expected"),
        ([1.0], [INF], "expected inf"),
        ([-INF], [INF], "-inf, expected inf"),
        ([1e300], [INF], "expected inf"),
        (1.0, [1.0, 1.0], "shape ()"),
        ([1.0], [1.0, 1.0], "was a mean or a sum taken?"),
        (np.zeros(0), [1.0], "shape (0,), expected (1,)"),
        (np.zeros(0), 1.0, "shape (0,), expected ()"),
        ([[1.0], [2.0]], [1.0, 2.0], "one axis of length 1 too many"),
        ([[1.0, 2.0]], [1.0, 2.0], "one axis of length 1 too many"),
        (np.zeros((0, 3)), np.zeros((3, 0)), "shape (0, 3)"),
        ([1], [1.0], "dtype int64, expected float32 or float64"),
        ([True], [1.0], "dtype bool"),
        ([1.0], [1], "dtype float64, expected int32 or int64"),
        (np.ones(1, "float16"), [1.0], "dtype float16"),
        ([1 + 0j], [1.0], "dtype complex128"),
        (["1"], [1.0], "dtype <U1"),
        ([1 + 2j], [1 + 0j], "1 of 1 values wrong"),
        ([2**60 + 1], [2**60], "1 of 1 values wrong"),
        (np.array([2**63 + 1], "uint64"), np.array([2**63], "uint64"), "1 of 1 values wrong"),
        ([True, False], [True, True], "1 of 2 values wrong; worst at [1]: False, expected True"),
        ([1.0, 2.1, 4.0], [1.0, 2.0, 3.0], "2 of 3 values wrong; worst at [2]: 4, expected 3"),
    ],
)
def test_what_careless_comparisons_pass_is_a_difference(got, expected, told):
    assert told in difference(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([0.0], [-0.0]),
        ([INF, -INF], [INF, -INF]),
        ([5e-324], [0.0]),  # a denormal is within the absolute tolerance
        (np.ones(3, "float32"), np.ones(3)),
        (np.ones(3, "int32"), np.ones(3, "int64")),
        (np.zeros((2, 0)), np.zeros((2, 0))),
        ([1.0 + 1e-6], [1.0]),
        ([1 + 1j], [1 + 1j]),
    ],
)
def test_what_is_right_has_no_difference(got, expected):
    assert difference(got, expected) is None


def test_nan_is_right_only_where_it_is_expected_and_the_exercise_says_so():
    assert difference([NAN, 1.0], [NAN, 1.0], nan=True) is None
    assert "1 is expected" in difference([NAN, NAN], [NAN, 1.0], nan=True)
    assert "expected nan" in difference([1.0], [NAN], nan=True)


def test_tolerance_is_absolute_plus_relative_to_the_expected_value():
    assert difference([100.9], [100.0], atol=0.5, rtol=0.005) is None
    assert difference([101.1], [100.0], atol=0.5, rtol=0.005)
    assert difference([1e308], [-1e308], rtol=0.5)  # the difference overflows


def test_dtypes_of_the_exercise_hold():
    assert difference([1], [1.0], dtypes=("int64",)) is None
    assert "expected int64" in difference([1.0], [1.0], dtypes=("int64",))


def test_other_names_of_outputs_are_told_in_a_few_words():
    got = {"x" * 10_000: np.zeros(1)}
    found = first_difference(got, {"r": np.zeros(1)}, atol=0, rtol=0)
    assert "expected ['r']" in found.message
    assert len(found.message) < 300


# Messages


def parse(data):
    """What `parse` and `needed` say; both must say it of all bytes, and agree."""
    try:
        message = parse_message(data)
    except ProtocolError:
        return "refused"
    assert message is None or needed(data) == message[2] <= len(data)
    assert message is not None or len(data) < needed(data) <= 4 + MAX_HEADER + MAX_BYTES
    return message


def message_of(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


arrays = st.dictionaries(
    st.text(max_size=10),
    st.tuples(
        st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=8), st.integers(0, 255)
    ).map(
        lambda drawn: np.full(
            drawn[1], drawn[2] % 2 if drawn[0] == "bool" else drawn[2] % 127
        ).astype(drawn[0])
    ),
    max_size=4,
)
nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("int8"),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=20,
)


@given(arrays, st.text(max_size=20), st.binary(max_size=8))
@settings(deadline=None, database=None)
def test_a_packed_message_is_parsed_to_what_it_was(given_arrays, text, rest):
    data = pack({"status": text}, given_arrays)
    fields, found, used = parse(data + rest)
    assert (fields, used) == ({"status": text}, len(data))
    assert list(found) == list(given_arrays)
    for name, array in given_arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert all(parse(data[:length]) is None for length in range(0, len(data), 1 + len(data) // 9))


@given(st.binary(max_size=300))
@settings(deadline=None, database=None)
def test_any_bytes_are_a_message_or_not(data):
    parse(data)
    parse(message_of(data))


@given(nested, nested, st.binary(max_size=40))
@settings(deadline=None, database=None, max_examples=300)
def test_any_json_is_a_message_or_not(listed, rest, body):
    parse(message_of({"arrays": listed, "status": rest}, body))
    parse(message_of({"arrays": [["a", "int8", listed], rest]}, body))
    parse(message_of({"arrays": [["a", rest, [1]]]}, body))
    parse(message_of(json.dumps(listed).encode(), body))


@given(arrays, st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=5))
@settings(deadline=None, database=None)
def test_a_message_with_changed_bytes_is_a_message_or_not(given_arrays, changes):
    data = bytearray(pack({"status": "ok"}, given_arrays))
    for place, value in changes:
        data[place % len(data)] = value
    parse(bytes(data))


HUGE = [
    message_of({"arrays": [["a", "int8", [2**62]]]}),
    message_of({"arrays": [["a", "int8", [10**400]]]}),
    message_of({"arrays": [["a", "complex128", [MAX_BYTES]]]}),
    message_of({"arrays": [["a", "int8", [MAX_BYTES] * 8]]}),
    message_of({"arrays": [["a", "int8", [0] + [MAX_BYTES] * 7]]}),
    message_of({"arrays": [[str(i), "int8", [MAX_BYTES // 100]] for i in range(101)]}),
    message_of({"arrays": [[str(i), "int8", [0]] for i in range(257)]}),
    message_of({"arrays": [["a", "int8", [1] * 9]]}, b"1"),
    message_of({"arrays": [["a", "object", [1]]]}, bytes(8)),
    message_of({"arrays": [["a", "bool", [2]]]}, b"\1\2"),
    message_of({"arrays": [["a", "int8", [1]], ["a", "int8", [1]]]}, b"12"),
    message_of(b"[" * 60_000),
    message_of(b'{"arrays": ' + b"[" * 60_000),
    message_of(b'{"arrays": [], "a": ' + b"9" * 60_000 + b"}"),
    message_of(b'{"arrays": [["a", ' + b"[" * 900 + b"]" * 900 + b", [1]]]}"),
    message_of(b'{"arrays": [["a", "int8", ' + b"[" * 900 + b"]" * 900 + b"]]}"),
    struct.pack("<I", MAX_HEADER + 1),
    b"pass" * 10,
]


@pytest.mark.parametrize("data", HUGE, ids=range(len(HUGE)))
def test_absurd_messages_are_refused_at_once_and_without_memory(data):
    tracemalloc.start()
    started = time.process_time()
    assert parse(data) == "refused"
    took, most = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 10
    assert most < 2**20


def test_a_large_message_that_is_not_there_yet_costs_nothing():
    data = message_of({"arrays": [["a", "int8", [MAX_BYTES]]]}, b"x")
    assert parse(data) is None
    assert needed(data) == len(data) - 1 + MAX_BYTES


# Values


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "is there a `return`?"),
        (np.ma.masked_all(3), "masked"),
        ("text", "dtype <U4"),
        (object(), "dtype object"),
        ([[1], [1, 2]], "list, which is no array"),
        (np.array(["2026-01-01"], "datetime64[D]"), "datetime64"),
        (np.zeros(1, [("a", "f4")]), "dtype [('a'"),
        ({"a": 1}, "dict of dtype object"),
        (np.zeros(1, np.longdouble), "longdouble"[:0]),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(value, told):
    with pytest.raises(BadValue) as refused:
        as_array(value)
    assert told in str(refused.value)


def test_arrays_of_other_classes_become_plain_ones():
    class Sub(np.ndarray):
        def __array_ufunc__(self, *args, **kwargs):
            raise AssertionError("must not be asked")

    made = as_array(np.arange(3.0).view(Sub))
    assert type(made) is np.ndarray
    assert made.tolist() == [0, 1, 2]
    assert as_array(np.float32(2)).dtype == "float32"
    assert as_array([1, 2]).dtype.kind == "i"


def test_outputs_are_counted_and_named():
    assert as_outputs((1, 2), ("a", "b"))["b"] == 2
    with pytest.raises(BadValue, match=r"returned 1 value\(s\), expected 2: a, b"):
        as_outputs(1, ("a", "b"))
    assert list(as_outputs({"x": 1.0}, None)) == ["x"]


def test_inputs_keep_their_order_and_are_copies():
    inputs = {"b": 2, "a": np.zeros(2), "c": "text", "d": [1, None]}
    fields, found = split_inputs(inputs)
    fields, found, _ = parse(pack(fields, found))
    joined = join_inputs(fields, found)
    assert list(joined) == ["b", "a", "c", "d"]
    joined["a"] += 1  # writable
    assert inputs["a"].tolist() == [0, 0]


def test_text_of_a_stranger_is_made_printable():
    assert printable("a\tb\nµ→ё") == "a\tb\nµ→ё"
    assert printable("\x1b[2J\r\x00\ud800\u202e") == "\\x1b[2J\\r\\x00\\ud800\\u202e"
    printable("\ud800").encode()


# Points


class Scripted:
    """An Executor that answers right but for some cases."""

    def __init__(self, **other):
        self.other, self.asked = other, 0

    def call(self, calls):
        self.asked += 1
        (inputs,) = calls
        right = inputs["factor"] * np.tanh(inputs["values"])
        reply = Reply("ok", {"result": right}, {"values": inputs["values"]})
        return [self.other.get(f"case{self.asked}", reply)]


def test_points_are_the_share_of_hidden_cases_and_come_from_the_exercise():
    assert grade(exercise, Scripted()).points == 4
    half = grade(exercise, Scripted(case2=Reply("error", message="E")))
    assert (half.points, half.max_points, half.status, half.message) == (2, 4, "error", "E")
    public = grade(exercise, Scripted(case1=Reply("timeout")))
    assert (public.points, public.status) == (pytest.approx(4 * 2 / 3, abs=0.01), "timeout")
    hidden = grade(exercise, Scripted(case2=Reply("crash"), case3=Reply("protocol")))
    assert (hidden.points, hidden.status) == (0, "crash")


def test_weights_share_the_points(monkeypatch):
    def cases(which, seed=0):
        inputs = {"values": np.ones(2), "factor": 1.0}
        return [Case(f"{which}{weight}", inputs, weight=weight) for weight in (1.0, 3.0)]

    monkeypatch.setattr(exercise, "cases", cases)
    assert grade(exercise, Scripted(case4=Reply("fail"))).points == 1
    assert grade(exercise, Scripted(case3=Reply("fail"))).points == 3


def test_a_reply_to_a_case_is_missing_for_this_case_alone():
    result = grade(exercise, Scripted(case2=Reply("ok")))
    assert [one.status for one in result.cases] == ["pass", "fail", "pass"]
    assert result.message == "returned [], expected ['result']"


def test_changed_inputs_fail_where_the_case_says_so():
    right = Scripted()
    call = right.call

    def without_inputs(calls):
        (reply,) = call(calls)
        return [replace(reply, inputs_after={})]

    right.call = without_inputs
    result = grade(exercise, right)
    assert [one.status for one in result.cases] == ["pass", "fail", "fail"]
    assert "was changed" in result.message


def test_a_misconception_is_named_only_if_all_answers_are_its_own():
    result = grade(exercise, InProcess(exercise, exercise.misconceptions[0].source))
    assert (result.misconception, result.points) == ("factor_inside", 0)
    assert result.message == "The factor belongs outside of tanh."
    other = InProcess(exercise, "def softened(values, factor):\n    return values * 0.0")
    assert grade(exercise, other).misconception == ""


def test_a_fault_of_the_author_is_internal_and_no_verdict(monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("author")

    monkeypatch.setattr(exercise, "solution", SimpleNamespace(name="broken", function=broken))
    result = grade(exercise, Scripted())
    assert (result.status, result.message) == (
        "internal",
        "the grader failed: ZeroDivisionError: author",
    )
    monkeypatch.setattr(exercise, "judge_function", broken)
    assert grade(exercise, Scripted()).status == "internal"


def test_a_judge_that_misses_an_output_blames_the_reply(monkeypatch):
    monkeypatch.setattr(exercise, "judge_function", lambda case, outputs: outputs[0]["other"])
    result = grade(exercise, Scripted())
    assert (result.status, result.message) == ("protocol", "the reply has no 'other'")


def test_an_answer_of_many_axes_is_shown_quickly():
    started = time.process_time()
    assert "…" not in lines_of(np.zeros((6,) * 7, "int8"))
    assert time.process_time() - started < 20


class Large:
    """An Executor whose answers are large, in what it returns or in what it says of its inputs."""

    def __init__(self, where):
        self.where = where

    def call(self, calls):
        for inputs in calls:
            large = np.zeros(2_000_000)  # 16 MB
            right = inputs["factor"] * np.tanh(inputs["values"])
            yield Reply(
                "ok",
                {"result": large if self.where == "result" else right},
                {"values": large if self.where == "inputs" else inputs["values"]},
            )


@pytest.mark.parametrize("where", ["result", "inputs"])
@pytest.mark.parametrize("judged", [False, True])
def test_large_answers_are_let_go_one_by_one(where, judged, monkeypatch):
    """Twelve cases of four calls: 770 MB in all, but never more than a few answers at a time."""
    inputs = {"values": np.ones(3), "factor": 1.0}

    def cases(which, seed=0):
        return [Case(f"{which}{number}", calls=[inputs] * 4) for number in range(6)]

    monkeypatch.setattr(exercise, "cases", cases)
    if judged:
        monkeypatch.setattr(exercise, "judge_function", lambda case, outputs: "wrong")
    tracemalloc.start()
    result = grade(exercise, Large(where))
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(result.cases) == 12
    assert most < (5 if judged and where == "result" else 3) * 2**24
    assert held < 2**20


def test_the_replies_to_a_judged_case_are_bounded_together(monkeypatch):
    calls = [{"values": np.ones(3), "factor": 1.0}] * 5
    monkeypatch.setattr(exercise, "cases", lambda which, seed=0: [Case(which, calls=calls)])
    monkeypatch.setattr(exercise, "judge_function", lambda case, outputs: None)
    result = grade(exercise, Large("result"))
    assert (result.status, result.points) == ("protocol", 0)
    assert result.message == "more than 64 MiB in the replies to one case"


def test_brackets_are_shown_and_are_no_markup():
    case = Case("c", {"x": np.array([NAN]), "word": "[red]"})
    result = CaseResult("c", "public", "fail", 1.0, case=case, difference=Difference("d", "r"))
    result.got = result.expected = np.array([NAN, NAN])
    console = Console(file=io.StringIO(), width=200)
    console.print(render(exercise, QuestionResult("q", "fail", 0, 1, cases=[result])))
    shown = console.file.getvalue()
    assert "[nan]" in shown
    assert "[red]" in shown
    assert shown.count("[nan nan]") == 2


def test_seeds_differ_by_submission_exercise_and_key_and_stay_the_same():
    seeds = {
        secret_seed(key, name, text)
        for key in (b"k1", b"k2")
        for name in ("a", "b")
        for text in (b"x", b"y")
    }
    assert len(seeds) == 8
    assert secret_seed(b"key", "huber_loss", b"source") == 507933378882338206
    one, same, other = (exercise.cases("hidden", seed) for seed in (1, 1, 2))
    assert one[1].inputs["factor"] == same[1].inputs["factor"] != other[1].inputs["factor"]


# Walls that need no worker


def run_filter(program, number, arguments=(), arch=seccomp.X86_64):
    """What the kernel would do with a system call: the filter, run line by line."""
    words = {0: number, 4: arch}
    for place, argument in enumerate(arguments):
        words[16 + 8 * place] = argument & 0xFFFFFFFF
    at = value = 0
    while True:
        operation, if_true, if_false, operand = program[at]
        if operation == seccomp.LOAD:
            value, at = words.get(operand, 0), at + 1
        elif operation == seccomp.AND:
            value, at = value & operand, at + 1
        elif operation == seccomp.RETURN:
            return {seccomp.ALLOW: "allow", seccomp.KILL: "kill"}.get(operand, operand & 0xFFFF)
        else:
            test = {
                seccomp.EQUAL: value == operand,
                seccomp.AT_LEAST: value >= operand,
                seccomp.ANY_BIT: bool(value & operand),
            }[operation]
            at += 1 + (if_true if test else if_false)


@pytest.mark.parametrize(
    ("number", "arguments", "answer"),
    [
        (0, (), "allow"),  # read
        (9, (), "allow"),  # mmap
        (56, (0x3D0F00,), "allow"),  # clone of a thread
        (56, (0x11,), 1),  # clone of a process
        (435, (), 38),  # clone3
        (57, (), 1),  # fork
        (59, (), 1),  # execve
        (41, (), 13),  # socket
        (53, (1, 1), 1),  # socketpair
        (54, (), 1),  # setsockopt
        (56, (0x3D0F00 & ~0x400,), 1),  # clone of a thread with open files of its own
        (9, (0, 4096, 3, 0x22), "allow"),  # mmap: private
        (9, (0, 4096, 3, 0x01), "allow"),  # of a file, shared
        (9, (0, 4096, 3, 0x21), 1),  # shared and anonymous
        (9, (0, 4096, 3, 0x23), 1),  # MAP_SHARED_VALIDATE
        (9, (0, 4096, 3, 0x40022), 1),  # MAP_HUGETLB
        (28, (0, 4096, 4), "allow"),  # madvise: MADV_DONTNEED
        (28, (0, 4096, 21), 1),  # MADV_PAGEOUT
        (436, (3, 9, 0), "allow"),  # close_range
        (436, (3, 9, 2), 1),
        (436, (3, 9, 6), 1),
        (72, (3, 1031), 1),  # F_SETPIPE_SZ
        (72, (3, 6), 1),  # F_SETLK
        (40, (), 1),  # sendfile
        (278, (), 1),  # vmsplice
        (317, (), 1),  # seccomp
        (157, (22,), 1),  # PR_SET_SECCOMP
        (157, (41,), 1),  # PR_SET_THP_DISABLE
        (445, (), 1),  # landlock_add_rule
        (62, (77, 9), "allow"),  # kill oneself
        (62, (78, 9), 1),
        (62, (0, 9), 1),
        (62, (-77, 9), 1),
        (234, (77, 77, 9), "allow"),
        (234, (1, 1, 9), 1),
        (302, (0,), "allow"),
        (302, (1,), 1),
        (157, (1,), 1),  # prctl: PR_SET_PDEATHSIG
        (157, (4,), 1),  # PR_SET_DUMPABLE
        (157, (15,), "allow"),  # PR_SET_NAME
        (72, (3, 1), "allow"),  # fcntl F_GETFD
        (72, (3, 8), 1),  # F_SETOWN
        (72, (3, 1024), 1),  # F_SETLEASE
        (72, (3, 1030), "allow"),  # F_DUPFD_CLOEXEC
        (76, (), 1),  # truncate
        (77, (), "allow"),  # ftruncate
        (16, (3, 0x5401), "allow"),  # ioctl TCGETS
        (16, (3, 0x8901), 1),  # FIOSETOWN
        (46, (), 1),  # sendmsg
        (463, (), 38),  # setxattrat, and what this list does not know
        (9999, (), 38),
        (0x40000000, (), 38),  # the x32 calls
    ],
)
def test_the_filter_of_system_calls(number, arguments, answer):
    assert run_filter(seccomp.filter_program(77), number, arguments) == answer


def test_the_filter_kills_calls_of_another_machine():
    assert run_filter(seccomp.filter_program(77), 20, arch=0x40000003) == "kill"


def test_a_folder_that_cannot_be_counted_is_full(tmp_path):
    me = str(os.getpid())
    assert not usage.too_full(str(tmp_path), me)
    (tmp_path / "large").write_bytes(b"x" * (namespaces.BOX_BYTES + 1))
    assert usage.too_full(str(tmp_path), me)
    (tmp_path / "large").unlink()
    home = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(30):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(home)
    assert usage.too_full(str(tmp_path), me)  # deeper than a path can be long
    remove(str(tmp_path))
    assert not tmp_path.exists()


def test_memory_is_what_is_resident_swapped_in_tables_and_in_huge_pages():
    status = "Name:\tx\nState:\tS (sleeping)\nVmRSS:\t 100 kB\nRssShmem:\t 50 kB\nVmPTE:\t 3 kB\n"
    status += "VmSwap:\t 20 kB\nHugetlbPages:\t 2048 kB\nThreads:\t7\n"
    assert usage.counted(status) == ("S", (100 + 20 + 3 + 2048) * 1024, 7)
    assert usage.counted("Name:\tx\nState:\tZ (zombie)\nThreads:\t2\n") == ("Z", 0, 2)


def test_a_fork_that_fails_is_tried_again_and_other_faults_are_not(monkeypatch):
    monkeypatch.setattr(retry_module.time, "sleep", lambda seconds: None)
    faults = [BlockingIOError(errno.EAGAIN, "no process"), OSError(errno.ENOMEM, "no memory")]

    def fork():
        if faults:
            raise faults.pop()
        return 7

    assert retry_module.retry(fork) == 7
    faults.append(PermissionError(errno.EPERM, "no"))
    with pytest.raises(PermissionError):
        retry_module.retry(fork)
    monkeypatch.setattr(retry_module, "SECONDS", -1)
    faults.append(BlockingIOError(errno.EAGAIN, "no process"))
    with pytest.raises(BlockingIOError):
        retry_module.retry(fork)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_a_look_at_the_open_files_does_not_depend_on_the_threads(tmp_path, monkeypatch):
    """With 40 threads no more files are looked at than with one."""
    looks, listed = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: looks.extend(listed(path)) or listed(path))
    usage.removed_bytes(str(tmp_path), str(os.getpid()))
    alone, ready, over = len(looks), threading.Barrier(41), threading.Event()

    def wait():
        ready.wait()
        over.wait()

    threads = [threading.Thread(target=wait) for _ in range(40)]
    for one in threads:
        one.start()
    ready.wait()
    looks.clear()
    usage.removed_bytes(str(tmp_path), str(os.getpid()))
    over.set()
    for one in threads:
        one.join()
    assert len(looks) <= alone + 5


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_removed_files_count_while_they_are_open(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x" * 2**20)
        file.flush()
        assert usage.removed_bytes(str(tmp_path), str(os.getpid())) == 0
        (tmp_path / "file").unlink()
        assert usage.removed_bytes(str(tmp_path), str(os.getpid())) == 2**20


def test_folders_that_are_deep_or_closed_are_removed(tmp_path):
    box = tmp_path / "box"
    box.mkdir()
    home = Path.cwd()
    try:
        os.chdir(box)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        os.mkdir("closed", 0)
    finally:
        os.chdir(home)
    remove(str(box))
    assert not box.exists()


# Workers, at the level that a learner's own check has everywhere


@pytest.fixture(scope="module")
def simple_workers():
    with Workers(level=5) as made:
        yield made


def graded(workers, source, seconds=3.0, seed=1):
    exercise.seconds = seconds
    with InWorker(workers, exercise, source) as solution:
        return grade(exercise, solution, seed), solution


def test_a_level_is_probed_and_a_weaker_one_can_be_forced(simple_workers):
    probed = simple_workers.probed()
    assert probed["level"] in workers_module.LEVELS
    assert all(probed["reasons"][str(level)] for level in (1, 2) if level < probed["level"])
    assert simple_workers.level == 5


def test_a_level_that_does_not_exist_is_refused():
    with pytest.raises(WorkersError, match="no level 3 of isolation; there are 1, 2 and 5"):
        Workers(level=3)


def test_a_stronger_level_than_there_is_is_not_pretended(simple_workers):
    made = object.__new__(Workers)
    made._wanted, made._probed, made._lock = 1, {"level": 5}, simple_workers._lock
    assert made.level == 5


def test_an_honest_answer_gets_full_points(simple_workers):
    result, solution = graded(simple_workers, HEAD + "    print('hello')\n" + HONEST)
    assert (result.status, result.points) == ("pass", 4)
    result, solution = graded(simple_workers, HONEST.replace("return", "print('hello'); return"))
    assert (result.points, bytes(solution.output)) == (4, b"hello\n" * 3)


def test_after_a_crash_the_next_case_has_a_new_worker(simple_workers):
    source = (
        HEAD + "    if len(values) == 1:\n        os._exit(3)\n    return factor * np.tanh(values)"
    )
    result, _ = graded(simple_workers, source)
    assert [one.status for one in result.cases] == ["pass", "crash", "pass"]
    assert (result.points, result.message) == (2, "ended itself (status 3)")


def test_after_nonsense_the_next_case_has_a_new_worker(simple_workers):
    source = HEAD + "    if len(values) == 1:\n        os.write(3, b'pass' * 9)\n    return values"
    result, _ = graded(simple_workers, source)
    assert [one.status for one in result.cases] == ["fail", "protocol", "fail"]


def test_the_limit_of_time_holds_for_all_cases_together(simple_workers):
    started = time.monotonic()
    result, _ = graded(simple_workers, HEAD + "    time.sleep(60)", seconds=0.5)
    assert [one.status for one in result.cases] == ["timeout"] * 3
    assert result.message == "took longer than 0.5 s"
    assert time.monotonic() - started < 30


def test_a_file_that_cannot_be_loaded_is_loaded_once(simple_workers):
    result, solution = graded(simple_workers, "print('once')\nraise ValueError('x')")
    assert [one.status for one in result.cases] == ["error"] * 3
    assert bytes(solution.output) == b"once\n"


def test_what_is_printed_is_bounded_and_said_to_be_cut(simple_workers):
    _, solution = graded(simple_workers, HEAD + "    print('x' * 100_000)")
    assert len(solution.output) == LONGEST_OUTPUT
    assert solution.cut


def without_tensorflow():
    """How a server is started that imports only NumPy, which is sooner done."""
    main = "import socket; server.main(socket.socket(fileno=int(sys.argv[2])))"
    return workers_module.START.partition("server.start")[0] + main


def test_a_server_that_has_ended_is_an_error_with_a_reason(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no module named tensorflow' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with Workers() as made, pytest.raises(WorkersError, match="no module named tensorflow"):
        made.probed()


def test_a_server_that_was_killed_is_started_again(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(workers_module, "START", without_tensorflow())
    with Workers(level=5) as made:
        made.probed()
        made._server.kill()
        made._server.wait()
        slow = "import time; time.sleep(1.2); " + workers_module.START
        monkeypatch.setattr(workers_module, "START", slow)
        assert graded(made, HONEST, seconds=1.0)[0].status == "pass"  # the start does not count


def test_a_server_that_cannot_be_started_again_is_told_and_leaves_no_box(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(workers_module, "START", without_tensorflow())
    with Workers(level=5) as made:
        made.probed()
        monkeypatch.setattr(workers_module, "START", "raise SystemExit('it is broken')")
        made._server.kill()
        made._server.wait()
        with pytest.raises(WorkersError, match="it is broken"):
            graded(made, HONEST)
        assert not list(tmp_path.glob("kerasbook-*/box-*"))


def test_a_server_started_again_with_weaker_walls_is_refused(monkeypatch):
    monkeypatch.setattr(workers_module, "START", without_tensorflow())
    with Workers() as made:
        made._probed = {**made.probed(), "level": made.level - 1}
        made._server.kill()
        made._server.wait()
        with pytest.raises(WorkersError, match="cannot be had any more"):
            graded(made, HONEST)


def test_what_killed_graders_left_is_removed(monkeypatch, tmp_path):
    """Not what is held, young, of another name, or reached through a link."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ["workers-deadbeef", "workers-heldheld", "workers-youngone", "workers-alongername", "x"]
    for name in names:
        (tmp_path / f"kerasbook-{name}" / "box-1").mkdir(parents=True)
    (tmp_path / "kerasbook-workers-linklink").symlink_to(tmp_path / "kerasbook-x")
    for path in tmp_path.iterdir():
        if not path.name.endswith("youngone"):
            os.utime(path, (1, 1), follow_symlinks=False)
    held = folders.lock_folder(str(tmp_path / "kerasbook-workers-heldheld"))
    folders.remove_left_behind()
    os.close(held)
    left = {path.name.removeprefix("kerasbook-") for path in tmp_path.iterdir()}
    assert left == {*names[1:], "workers-linklink"}
    assert (tmp_path / "kerasbook-x" / "box-1").is_dir()


def test_the_server_ends_with_its_grader(tmp_path):
    """A grader that is killed leaves no server, no worker and no learner's code behind."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from kerasbook.grading.in_worker import InWorker\n"
        "from kerasbook.grading.workers import Workers\n"
        "from kerasbook.grading.question import grade\n"
        "from attacks.softened import exercise\n"
        "with Workers() as workers:\n"
        "    workers.probed()\n"
        "    print(workers._server.pid, flush=True)\n"
        "    exercise.seconds = 60.0\n"
        "    source = 'import time\\nprint(1)\\ntime.sleep(60)'\n"
        "    grade(exercise, InWorker(workers, exercise, source))\n"
    )
    paths = [str(Path(workers_module.__file__).parents[2]), str(Path(__file__).parent)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code, *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as grader:
        pid = int(grader.stdout.readline())
        ends = time.monotonic() + 20
        while not list(tmp_path.glob("kerasbook-*/box-*")) and time.monotonic() < ends:
            time.sleep(0.05)
        time.sleep(0.3)
        assert list(tmp_path.glob("kerasbook-*/box-*"))  # it is in the middle of a question
        grader.kill()

    def left():
        if sys.platform != "linux":
            return subprocess.run(["kill", "-0", str(pid)]).returncode == 0
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if b"HOME=%s/kerasbook-" % str(tmp_path).encode() in path.read_bytes():
                    found.append(path)
        return found

    ends = time.monotonic() + 10
    while left() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not left()
    assert list(tmp_path.iterdir()) == []

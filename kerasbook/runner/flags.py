"""The flags of a chapter: its own from `main`'s signature, read without importing it, and all's."""

from __future__ import annotations

import argparse
import ast
import inspect
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from kerasbook.contents import Page
from kerasbook.program import fail

# Least and greatest value, where the chapter's ABOUT says nothing else; of other numbers 0 and ∞.
BOUNDS: dict[str, list] = {"epochs": [1, None], "batch_size": [1, None], "examples": [1, None]}
BOUNDS |= {"seed": [0, 2**32 - 1]}
KINDS = (int, float, str)


@dataclass(frozen=True)
class Flag:
    """A keyword argument of `main`, as a flag."""

    name: str
    kind: type
    choices: tuple | None
    default: Any
    help: str


# --- the chapter's own --------------------------------------------------------------------


def flags_of(page: Page) -> list[Flag]:
    """Returns a flag for each keyword argument of the page's `main`.

    Raises:
        ValueError: there is no `main`, or an argument is of a kind that no flag can have.
    """
    main = main_of(page)
    names = _Names(page)
    arguments = main.args.args + main.args.kwonlyargs
    defaults = [None] * (len(main.args.args) - len(main.args.defaults))
    defaults += main.args.defaults + main.args.kw_defaults
    helps = dict(re.findall(r"^\s+(\w+): (.+)", docstring_of(main), re.MULTILINE))
    flags = []
    for argument, default in zip(arguments, defaults, strict=True):
        kind, choices = kind_of(names.value(argument.annotation))
        if kind not in KINDS:
            raise ValueError(f"{page.key}.main: {argument.arg}: {kind} cannot be a flag's type")
        text = helps.get(argument.arg, argument.arg)
        flags.append(Flag(argument.arg, kind, choices, names.value(default), text))
    return flags


def main_of(page: Page) -> ast.FunctionDef:
    """Returns the definition of the page's `main`."""
    for node in page.tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            return node
    raise ValueError(f"{page.path.name} has no main")


def docstring_of(main: ast.FunctionDef) -> str:
    """Returns the docstring without its margin; empty if there is none."""
    return inspect.cleandoc(ast.get_docstring(main) or "")


class _Names(dict):
    """What annotations and defaults may name: types, Literal, and what the module assigns."""

    def __init__(self, page: Page):
        super().__init__(int=int, float=float, str=str, Literal=Literal)
        self.page = page

    def __missing__(self, name: str) -> Any:
        if (expression := self.page.assigned(name)) is None:
            raise ValueError(f"{self.page.key}.main: {name} cannot be a flag's type or default")
        return self.value(expression)

    def value(self, expression: ast.expr | None) -> Any:
        """Returns the value of an expression of the module."""
        if expression is None:
            raise ValueError(f"{self.page.key}.main: give every argument a type and a default")
        return eval(ast.unparse(expression), {"__builtins__": {}}, self)


def kind_of(annotation: Any) -> tuple[Any, tuple | None]:
    """Returns the type that an annotation means, and its choices; None beside it is left out.

    >>> kind_of(int | None), kind_of(Literal["a", "b"])
    ((<class 'int'>, None), (<class 'str'>, ('a', 'b')))
    """
    kinds = get_args(annotation)
    if type(None) in kinds:
        annotation = kinds[kinds[0] is type(None)]
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return type(choices[0]), choices
    return annotation, None


# --- every chapter's ----------------------------------------------------------------------


def bounded(kind: Any, lowest: float | None, highest: float | None) -> Any:
    """Returns `kind`, int or float, with an error outside of the bounds; str as it is."""
    if kind is str:
        return kind
    lowest = -math.inf if lowest is None else lowest
    highest = math.inf if highest is None else highest

    def convert(text: str):
        value = kind(text)
        if not lowest <= value <= highest or value == math.inf:
            wanted = f"from {lowest} to {highest}" if highest < math.inf else f"at least {lowest}"
            raise argparse.ArgumentTypeError(f"must be {wanted}, not {text}")
        return value

    convert.__name__ = kind.__name__  # argparse says "invalid int value: 'x'"
    return convert


ON = {"action": "store_true"}
COUNT = {"type": bounded(int, 1, 64), "metavar": "N"}
COMMON: dict[str, dict[str, Any]] = {
    "--loop": {
        "choices": ("tape", "fit"),
        "default": "tape",
        "help": "the book's loop, or model.fit on the same batches",
    },
    "--jit": {
        "choices": ("auto", "on", "off"),
        "default": "auto",
        "help": "compile the steps with XLA",
    },
    "--device": {
        "choices": ("auto", "cpu", "gpu"),
        "default": "auto",
        "help": "where to compute; auto takes a GPU if there is one",
    },
    "--mixed-precision": {
        "choices": ("off", "float16", "bfloat16"),
        "default": "off",
        "help": "compute in 16 bits: float16 for GPUs; bfloat16 for GPUs too, and for convolutions "
        "on CPUs with AMX or AVX-512 BF16 (where lscpu names amx_bf16 or avx512_bf16)",
    },
    "--devices": COUNT | {"help": "share every batch among so many GPUs or CPU parts"},
    "--workers": COUNT | {"default": 1, "help": "share it among so many processes on the CPU"},
    "--output": {"type": Path, "metavar": "DIR", "help": "folder for report, pictures and model"},
    "--tensorboard": ON | {"help": "write logs for TensorBoard there too"},
    "--resume": ON | {"help": "go on with the run in the output folder"},
    "--quick": ON | {"help": "a short run, to try things out"},
    "--quiet": ON | {"help": "print nothing but errors"},
}


OWN = {  # a chapter's data set → what of one's own may stand in its place (kerasbook.data.own)
    "auto_mpg": "table",
    "fashion": "pictures",
    "film_sentences": "sentences",
    "film_text": "text",
    "shakespeare": "text",
}
OWN_DATA: dict[str, dict[str, dict[str, Any]]] = {
    "table": {
        "--data": {"help": "train on this CSV file; its first row has the columns' names"},
        "--target": {"metavar": "NAME", "help": "the column to predict, else the last"},
    },
    "pictures": {
        "--data": {"help": "train on the pictures of this folder, which has one for each class"},
        "--size": {"type": bounded(int, 8, 256), "metavar": "N", "help": "make them N × N pixels"},
    },
    "sentences": {
        "--data": {"help": "train on these lines: label, tab, sentence; or CSV with label, text"}
    },
    "text": {"--data": {"help": "train on this text, in UTF-8"}},
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with the line."""
        fail(f"{message}; --help shows the flags")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that tells the defaults, where there are any."""

    def _get_help_string(self, action):
        has_default = action.default is not None and action.default is not False
        return super()._get_help_string(action) if has_default else action.help


def make_parser(page: Page) -> Parser:
    """Returns the parser of a page's flags: its own, then those that every chapter has."""
    parser = Parser(
        prog=f"python -m {page.module}",
        description=docstring_of(main_of(page)).partition("\n")[0],
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    own = parser.add_argument_group("this chapter's")
    bounds = BOUNDS | page.about.bounds
    for flag in flags_of(page):
        own.add_argument(
            f"--{flag.name.replace('_', '-')}",
            type=flag.kind
            if flag.choices
            else bounded(flag.kind, *bounds.get(flag.name, [0, None])),
            choices=flag.choices,
            default=flag.default,
            metavar=None if flag.choices else flag.kind.__name__.upper(),
            help=flag.help,
        )
    for name, settings in OWN_DATA.get(own_kind(page), {}).items():
        own.add_argument(name, **({"metavar": "PATH"} if name == "--data" else {}) | settings)
    common = parser.add_argument_group("every chapter's")
    for name, settings in COMMON.items():
        common.add_argument(name, **settings)
    parser.set_defaults(output=Path("runs") / page.key)
    return parser


def own_kind(page: Page) -> str:
    """Returns what of one's own may stand in place of a chapter's data; empty if nothing may."""
    return OWN.get(page.about.datasets[0], "") if page.about.datasets else ""


# --- what was asked -----------------------------------------------------------------------


def parse(page: Page, arguments: list[str]) -> tuple[dict[str, Any], argparse.Namespace]:
    """Returns the keyword arguments for `main`, and the flags that every chapter has.

    `--quick` changes those that were left at their defaults.
    """
    common = make_parser(page).parse_args(arguments)
    flags = {flag.name: vars(common).pop(flag.name) for flag in flags_of(page)}
    if common.quick:
        defaults = {flag.name: flag.default for flag in flags_of(page)}
        short = page.about.quick
        flags |= {n: v for n, v in short.items() if n in flags and flags[n] == defaults[n]}
    if kind := own_kind(page):
        take_own_data(page, kind, flags, common)
    return flags, common


def take_own_data(page: Page, kind: str, flags: dict, common: argparse.Namespace) -> None:
    """Puts one's own data, if any are named, in place of the data set, as `load` knows them."""
    options = {name[2:]: vars(common).pop(name[2:]) for name in OWN_DATA[kind]}
    path = options.pop("data")
    (name, option), *_ = [*options.items(), ("", None)]
    if path is None:
        if option is not None:
            fail(f"--{name} is for data of your own: name them with --data")
        return
    if flags["dataset"] != page.about.datasets[0]:
        fail("--data and --dataset both say what to train on: take one of them")
    if not Path(path).exists():
        fail(f"there is no {path}: --data names a file or folder of yours")
    flags["dataset"] = f"{kind}:{path}" + ("" if option is None else f"#{option}")


def moved(page: Page, arguments: list[str]) -> tuple[str, list[str]] | None:
    """Returns the key that old flags among the arguments stand for, and the other arguments.

    None if there are none. `--task=bikes` is `--task bikes`.
    """
    words = [word for each in arguments for word in each.split("=", 1)]
    for old, key in page.about.old_flags.items():
        wanted = old.split()
        for i in range(len(words) - len(wanted) + 1):
            if words[i : i + len(wanted)] == wanted:
                return key, words[:i] + words[i + len(wanted) :]
    return None

"""The verbs that use what was trained: predict, convert, card."""

from __future__ import annotations

import json as as_json
import sys
from pathlib import Path
from typing import Annotated, Literal

from kerasbook.cli.verbs import shown, verb

import typer

Run = Annotated[
    Path,
    typer.Argument(
        help="A run's folder, as runs/chapter3, or a model in it; or a chapter's number."
    ),
]


def predict(
    run: Run,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT…",
            help="What the chapter reads: a picture's file (2, 3, 9), a sentence (4), a row of "
            "numbers or a CSV file (1, 5), a word or a beginning (6); - is standard input.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="So many of the likeliest classes.")] = 3,
    invert: Annotated[
        bool, typer.Option("--invert", help="Pictures: take bright for dark, and dark for bright.")
    ] = False,
    length: Annotated[
        int, typer.Option(min=1, max=100_000, help="Writer: so many more characters.")
    ] = 200,
    temperature: Annotated[
        float, typer.Option(min=0, max=100, help="Writer: bold above 1, 0 takes the likeliest.")
    ] = 0.8,
    seed: Annotated[int, typer.Option(min=0, help="Writer: other numbers, other texts.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
):
    """Ask a trained model: `kerasbook predict runs/chapter3 shirt.png`.

    It needs the run's folder and nothing of the training: neither data nor loop. A row that begins
    with a minus stands behind a --, as in `kerasbook predict 1 -- -1,2,3`.
    """
    from kerasbook.inference.answers import Wishes, as_line
    from kerasbook.inference.answers import predict as answers_of

    answers = answers_of(run, inputs or [], Wishes(top, invert, length, temperature, seed))
    if json:
        as_json.dump(answers, sys.stdout, indent=1)
        print()
    else:
        for answer in answers:
            print(shown(as_line(answer)))


def convert(
    run: Run,
    to: Annotated[
        Literal["onnx", "litert", "savedmodel"], typer.Option(help="The format to write.")
    ],
):
    """Write a run's model for other programs: model.onnx, model.tflite or the folder savedmodel.

    It is loaded again and compared with Keras before it gets its name. `kerasbook predict` takes
    it too, and needs no TensorFlow for the first two.
    """
    from kerasbook.inference import conversion

    made = conversion.convert(run, to)
    print(f"{made.path}: {made.bytes:,} bytes")
    print(
        f"largest difference to Keras {made.difference:.1e}, of outputs up to {made.largest:.3g}, "
        f"over {conversion.EXAMPLES} random examples"
    )


def card(run: Run):
    """Write a run's model card, card.md: data, scores with bands, classes, calibration, limits.

    It has the fields of Hugging Face's and Google's cards; what only a person can say is marked.
    """
    from kerasbook.inference import card as cards

    print(cards.write(run))


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command `kerasbook`."""
    verb(app)(predict)
    verb(app)(convert)
    verb(app)(card)

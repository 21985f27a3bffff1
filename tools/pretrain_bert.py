"""Pretrain the small BERT of chapter 7 on glosses, speeches and film sentences.

    python tools/pretrain_bert.py --out DIR              # about an hour on one core
    python tools/pretrain_bert.py --out DIR --pack       # its weights as int8, into the package

DIR keeps the word pieces, a checkpoint every 50 steps and log.csv; called again, it goes on where
it was. Of the film sentences only the training part is read.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import time
from pathlib import Path

from kerasbook import chapter7
from kerasbook.data import corpus, wordpieces
from kerasbook.data.embedded import FILES
from kerasbook.files import atomic_path

import keras
import numpy as np

WORDS, LENGTHS, TOKENS = 5_000, (16, 24, 32, 48, 64), 2_048
FILM_TIMES = 3  # in an epoch; the others once
UP, DOWN = 500, 800  # steps of the learning rate


def make_rows(out: Path) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Returns the pieces, and the texts as rows of each of LENGTHS; kept in `out`."""
    texts = corpus.read_texts()
    path = out / "vocab.txt"
    if not path.exists():
        pieces = wordpieces.make_pieces([text for part in texts.values() for text in part], WORDS)
        path.write_text("\n".join(pieces) + "\n", encoding="utf-8")
    pieces = wordpieces.read_pieces(path.read_text(encoding="utf-8"))
    texts = [*texts["glosses"], *texts["speeches"], *(FILM_TIMES * texts["film"])]
    x = wordpieces.rows(texts, pieces, LENGTHS[-1])
    counts = (x != 0).sum(axis=1)
    borders = zip((0, *LENGTHS), LENGTHS)
    return pieces, [x[(counts > low) & (counts <= high), :high] for low, high in borders]


def batches(rows: list[np.ndarray], epoch: int) -> list[np.ndarray]:
    """Returns the batches of an epoch, each of rows of one length, in random order."""
    random = np.random.default_rng((0, epoch))
    found = []
    for part in rows:
        size = TOKENS // part.shape[1]
        order = random.permutation(len(part))
        found += [part[order[at : at + size]] for at in range(0, len(part) - size + 1, size)]
    return [found[at] for at in random.permutation(len(found))]


def pretrain(out: Path, steps: int, learning_rate: float) -> None:
    """Train up to `steps`, going on from the checkpoint in `out`, if there is one."""
    pieces, rows = make_rows(out)
    print(f"{len(pieces):,} pieces; rows {[len(part) for part in rows]}", flush=True)
    model, optimizer = make_model(pieces, UpLevelDown(learning_rate, steps))
    step = chapter7.make_covered_step(model, optimizer)
    state = [*model.variables, *optimizer.variables]
    done, seconds = restore(out, state)
    started, losses = time.time(), []
    per_epoch = len(batches(rows, 0))
    print(f"{model.count_params():,} weights, {per_epoch} steps an epoch, {done} done", flush=True)
    while done < steps:
        epoch, first = divmod(done, per_epoch)
        for number, batch in enumerate(batches(rows, epoch)[first:], first):
            random = np.random.default_rng((1, epoch, number))
            losses.append(step(*chapter7.cover(batch, random, len(pieces))))
            done += 1
            if done % 200 == 0:
                note(out, done, losses, seconds + time.time() - started)
                losses = []
            if done % 50 == 0:
                keep(out, state, done, seconds + time.time() - started)
            if done == steps:
                break


def make_model(pieces: tuple[str, ...], schedule: object) -> tuple:
    """Return the model with its first weights, and its optimiser."""
    keras.utils.set_random_seed(0)
    model = chapter7.MaskedBert(len(pieces), dropout=0.0)
    model(np.zeros((1, 2), "int32"))
    options = {"weight_decay": 0.01, "beta_2": 0.98, "global_clipnorm": 1}
    optimizer = keras.optimizers.AdamW(schedule, **options)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def pack(out: Path) -> None:
    """Write the weights of the checkpoint into the package, and into `out` as a folder of BERT."""
    pieces = wordpieces.read_pieces((out / "vocab.txt").read_text(encoding="utf-8"))
    model, _ = make_model(pieces, 0.0)
    done, seconds = restore(out, model.variables)
    chapter7.write_bert(out / "bert", model, pieces)
    path = FILES / "small_bert.safetensors"
    chapter7.write_small_bert(path, model, pieces)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{done} steps, {seconds:.0f} s: {path.stat().st_size:,} bytes\n{digest}  {path.name}")


class UpLevelDown(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that climbs for 500 steps, stays, and falls to zero in the last 800.

    So `--steps` can be changed while it stays, and what was done is a part of the other run, too.
    """

    def __init__(self, learning_rate: float, steps: int) -> None:
        """Take the rate in the middle, and the steps in all."""
        self.learning_rate, self.steps = learning_rate, steps

    def __call__(self, step):
        """Return the rate of a step."""
        step = keras.ops.cast(step, "float32")
        up, down = (step + 1) / UP, (self.steps - step) / DOWN
        return self.learning_rate * keras.ops.minimum(1.0, keras.ops.minimum(up, down))


def note(out: Path, done: int, losses: list, seconds: float) -> None:
    """Add a line to the log: steps, mean loss since the last line, seconds in all."""
    path, loss = out / "log.csv", float(np.mean(losses))
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["steps", "loss", "seconds"])
        writer.writerow([done, f"{loss:.4f}", f"{seconds:.0f}"])
    print(f"{done:6} steps  {loss:.3f} nats  {seconds:6.0f} s", flush=True)


def keep(out: Path, state: list, done: int, seconds: float) -> None:
    """Write the checkpoint."""
    arrays = {str(number): np.asarray(each) for number, each in enumerate(state)}
    with atomic_path(out / "checkpoint.npz") as path:
        np.savez(path, done=done, seconds=seconds, **arrays)


def restore(out: Path, state: list) -> tuple[int, float]:
    """Return the steps and seconds of the checkpoint, whose numbers the variables get."""
    path = out / "checkpoint.npz"
    if not path.exists():
        return 0, 0.0
    with np.load(path) as arrays:
        for number, variable in enumerate(state):
            variable.assign(arrays[str(number)])
        return int(arrays["done"]), float(arrays["seconds"])


def main() -> None:
    """Read the options; train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="what is kept where")
    parser.add_argument("--steps", type=int, default=5_200, help="in all (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at most (%(default)s)")
    parser.add_argument("--pack", action="store_true", help="write the package's file; no training")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.pack:
        pack(options.out)
    else:
        pretrain(options.out, options.steps, options.learning_rate)


if __name__ == "__main__":
    main()

"""Measure what pretraining gains: readers of film sentences at 100 … 8,049 labels, five seeds.

    python tools/measure_fine_tuning.py --weights DIR --out FILE.csv   # goes on where it was
    python tools/measure_fine_tuning.py --out FILE.csv --only random,tf-idf --labels 500
    python tools/measure_fine_tuning.py --keep FILE.csv …              # into results.json

A row for each way of learning, number of labels and seed: the accuracy on the validation part. Seed
s also draws which labels are there.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

from kerasbook import chapter4, chapter7, contents
from kerasbook.data import bert_folder, load_film_sentences
from kerasbook.data.film import read_film_sentences
from kerasbook.data.text import split_words
from kerasbook.training import fit, predict

import keras
import numpy as np
import tensorflow as tf

LABELS, SEEDS = (100, 500, 2_000, 8_049), range(5)
LENGTH = 48  # word pieces
EPOCHS = {100: 15, 500: 6, 2_000: 3, 8_049: 2}  # of BERT
READER_EPOCHS = {100: 40, 500: 20, 2_000: 8, 8_049: 5}  # of chapter 4's; its own number for all


def chosen(seed: int, labels: int, whole: int) -> np.ndarray:
    """Return which sentences of the training part have a label."""
    return np.random.default_rng((7, seed)).permutation(whole)[:labels]


@cache
def splits_in_pieces(folder: Path | None):
    """Return options, weights, and the sentences in pieces of the pretrained model."""
    options, arrays, pieces = bert_folder.read(folder) if folder else chapter7.small_bert()
    return options, arrays, load_film_sentences(length=LENGTH, pieces=pieces)


def bert(start: str, labels: int, seed: int, folder, learning_rate: float, mean: bool) -> float:
    """Return the accuracy of our BERT from "random", "frozen" or "pretrained" weights."""
    options, arrays, splits = splits_in_pieces(folder)
    keras.utils.set_random_seed(seed)
    part = chosen(seed, labels, len(splits.train.y))
    data = splits.train.x[part], splits.train.y[part]
    model = chapter7.start_from(options, None if start == "random" else arrays, mean=mean)
    if start == "frozen":
        return of_features(model, data, splits.validation)
    chapter7.fine_tune(model, data, EPOCHS[labels], learning_rate=learning_rate, seed=seed)
    return accuracy(predict(model, splits.validation.x), splits.validation.y)


def of_features(model, data: tuple, other) -> float:
    """Return the accuracy of logistic regression on what the encoder makes, as a mean."""
    bert = model.get_layer("bert")

    def features(pieces):
        parts = np.array_split(pieces, -(-len(pieces) // 256))
        return np.concatenate([chapter7.mean_of(bert(part), part) for part in parts])

    x = features(data[0])
    centre, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    weights = chapter7.logistic((x - centre) / spread, data[1])
    found = (features(other.x) - centre) / spread
    return accuracy(found @ weights[:-1] + weights[-1], other.y)


def reader(variant: str, labels: int, seed: int) -> float:
    """Return the accuracy of chapter 4's "gru" or "bag"."""
    splits = load_film_sentences()
    keras.utils.set_random_seed(seed)
    part = chosen(seed, labels, len(splits.train.y))
    model = chapter4.make_model(len(splits.vocabulary), variant)
    epochs, loss_fn = READER_EPOCHS[labels], keras.losses.BinaryCrossentropy(from_logits=True)
    size = 128 if labels == 8_049 else 32
    schedule = chapter4.make_schedule(0.002, labels, size, epochs)
    options = {"optimizer": keras.optimizers.Adam(schedule, global_clipnorm=1.0), "seed": seed}
    options |= {"loss_fn": loss_fn, "epochs": epochs, "batch_size": size, "progress": "none"}
    fit(model, (splits.train.x[part], splits.train.y[part]), **options)
    return accuracy(predict(model, splits.validation.x), splits.validation.y)


def tf_idf(labels: int, seed: int) -> float:
    """Return the accuracy of logistic regression on words and pairs of words, as tf-idf."""
    train, validation, _ = read_film_sentences()
    part = chosen(seed, labels, len(train.texts))
    texts = [terms(train.texts[at]) for at in part]
    counts = Counter(term for text in texts for term in set(text))
    places = {term: place for place, term in enumerate(counts)}
    rarity = np.log((1 + labels) / (1 + np.array(list(counts.values())))) + 1
    weights = descend(weighted(texts, places, rarity), (train.ratings > 0)[part])
    x = weighted([terms(text) for text in validation.texts], places, rarity)
    return accuracy(tf.sparse.sparse_dense_matmul(x, weights), validation.ratings > 0)


def terms(text: str) -> list[str]:
    """Return the words of a text and the pairs of neighbours."""
    words = split_words(text)
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def weighted(texts: list, places: dict, rarity: np.ndarray) -> tf.SparseTensor:
    """Return a sparse matrix (n, terms), each row of length 1: counts times rarity."""
    where, values = [], []
    for row, text in enumerate(texts):
        found = sorted(Counter(places[term] for term in text if term in places).items())
        weights = np.array([count * rarity[place] for place, count in found])
        where += [(row, place) for place, _ in found]
        values += list(weights / max(np.linalg.norm(weights), 1e-9))
    where = np.array(where, "int64").reshape(-1, 2)
    return tf.SparseTensor(where, np.array(values, "float32"), (len(texts), len(places)))


def descend(x: tf.SparseTensor, y: np.ndarray, penalty: float = 1.0, steps: int = 300) -> tf.Tensor:
    """Return the weights (terms, 1) of logistic regression with half a square penalty.

    Nesterov's descent, with the largest curvature from twenty steps of power iteration.
    """
    signs = tf.constant(2.0 * y[:, None] - 1, tf.float32)

    def back(rows):
        return tf.sparse.sparse_dense_matmul(x, rows, adjoint_a=True)

    direction = tf.random.stateless_normal((x.shape[1], 1), (0, 0))
    for _ in range(20):
        image = back(tf.sparse.sparse_dense_matmul(x, direction / tf.norm(direction)))
        direction = image
    rate = 1 / (penalty + 0.3 * tf.norm(direction))  # a quarter, and room
    old = weights = tf.zeros((x.shape[1], 1))
    for step in range(steps):
        ahead = weights + (step / (step + 3)) * (weights - old)
        margin = signs * tf.sparse.sparse_dense_matmul(x, ahead)
        slope = penalty * ahead - back(signs * tf.sigmoid(-margin))
        old, weights = weights, ahead - rate * slope
    return weights


def accuracy(logits: np.ndarray, y: np.ndarray) -> float:
    """Return the share of right answers, from logits (n, 2), (n, 1) or (n,)."""
    logits = np.asarray(logits)
    praise = logits[:, 1] > logits[:, 0] if logits.ndim == 2 and logits.shape[1] == 2 else None
    praise = logits.ravel() > 0 if praise is None else praise
    return float((praise == y.astype(bool)).mean())


NAMES = {
    "tf-idf": "words and pairs, tf-idf",
    "bag": "bag of words (chapter 4)",
    "gru": "GRU (chapter 4)",
    "random": "BERT, random start",
    "frozen": "BERT, frozen",
    "pretrained": "BERT, fine-tuned",
}


def keep(files: list[Path]) -> None:
    """Write what is in the files into results.json."""
    rows = [row for file in files for row in csv.DictReader(file.open())]
    found: dict = {name: {} for name in NAMES.values()}
    for row in sorted(rows, key=lambda row: (int(row["labels"]), int(row["seed"]))):
        found[NAMES[row["way"]]].setdefault(row["labels"], []).append(float(row["accuracy"]))
    results = contents.load_results()
    results["measurements"]["chapter7"]["fine_tuning"] = {
        n: each for n, each in found.items() if each
    }
    path = contents.PACKAGE / "results.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Read the options; measure what is not in the file yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ways = ("tf-idf", "bag", "gru", "random", "frozen", "pretrained")
    parser.add_argument("--weights", metavar="DIR", type=Path, help="else those of the package")
    parser.add_argument("--out", metavar="FILE", type=Path, default=Path("fine_tuning.csv"))
    parser.add_argument("--keep", metavar="FILE", type=Path, nargs="+", help="into results.json")
    parser.add_argument("--only", default=",".join(ways), help="ways (%(default)s)")
    parser.add_argument("--labels", default=",".join(map(str, LABELS)), help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="of BERT")
    parser.add_argument("--first", action="store_true", help="the first place, not the mean")
    options = parser.parse_args()
    if options.keep:
        keep(options.keep)
        return
    for labels in map(int, options.labels.split(",")):
        for seed in range(options.seeds):
            for way in options.only.split(","):
                measure(options, way, labels, seed)


def measure(options: argparse.Namespace, way: str, labels: int, seed: int) -> None:
    """Add a row to the file, if it is not there."""
    key = [way, str(labels), str(seed)]
    new = not options.out.exists()
    if not new and key in [row[:3] for row in csv.reader(options.out.open())]:
        return
    started = time.time()
    if way == "tf-idf":
        found = tf_idf(labels, seed)
    elif way in ("gru", "bag"):
        found = reader(way, labels, seed)
    else:
        how = options.weights, options.learning_rate, not options.first
        found = bert(way, labels, seed, *how)
    with options.out.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["way", "labels", "seed", "accuracy", "seconds"])
        writer.writerow([*key, f"{found:.4f}", f"{time.time() - started:.1f}"])
    print(*key, f"{found:.4f}  {time.time() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()

"""Measures what the chapters' text states beside the bands, and puts it into results.json.

    python tools/make_measurements.py        # all
    python tools/make_measurements.py 5      # of chapter 5

results.json keeps them under "measurements", chapter by chapter; tests/test_prose.py compares the
text with them. What needs scikit-learn is left as it was where scikit-learn is not installed.
"""

import argparse
import contextlib
import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kerasbook import contents
from kerasbook.files import atomic_path

import matplotlib.pyplot as plt
import numpy as np

RESULTS = Path(__file__).resolve().parent.parent / "kerasbook" / "results.json"


def run(key: str, flags: str = "") -> dict:
    """Returns the scores of a run of the chapter with these flags."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"kerasbook.{key}", "--quiet", *flags.split()]
        subprocess.run([*command, "--output", folder], check=True)
        return json.loads((Path(folder) / "report.json").read_text())["scores"]


def spread(values: list[float]) -> dict:
    """Returns the runs' values, their mean, and its standard error."""
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
    return {"values": values, "mean": float(np.mean(values)), "error": error}


def silently(function, *arguments, **options):
    """Returns function(…) without what it prints."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return function(*arguments, **options)


def order(seeds: int = 5) -> dict:
    """Chapter 4: the accuracy on made-up sentences where order decides, by reader and length."""
    from kerasbook.chapter4 import learn_order

    def accuracies(variant, length, **options):
        runs = (learn_order(variant, length, seed=seed, **options) for seed in range(seeds))
        return spread([float(accuracy) for _, _, accuracy in runs])

    found = {
        variant: {f"{length} words": accuracies(variant, length) for length in (10, 20, 40)}
        for variant in ("bag", "simple", "gru")
    }
    return found | {"simple, 30 epochs": accuracies("simple", 40, epochs=30)}


def ladder_of_readers(seeds: int = 5) -> dict:
    """Chapter 4: each reader's accuracy, and what the two with gates make of order."""
    from kerasbook import chapter4

    found = {}
    for variant in ("linear", "bag", "simple", "gru", "bidirectional"):
        runs = [reader_run(chapter4, variant, seed) for seed in range(seeds)]
        found[variant] = {name: spread([run[name] for run in runs]) for name in runs[0]}
        print(variant, {name: each["mean"] for name, each in found[variant].items()}, flush=True)
    return found


def reader_run(chapter4, variant: str, seed: int) -> dict[str, float]:
    """Returns the scores of one reader, and shares of twins, negations, shuffled sentences."""
    import keras

    make_model = chapter4.make_model
    if variant == "linear":  # `main` with the other model, and larger steps for it
        chapter4.make_model = lambda words, *_, **__: chapter4.make_linear(words)
    rate = {"learning_rate": 0.05} if variant == "linear" else {}
    try:
        name = "bag" if variant == "linear" else variant
        result = silently(chapter4.main, variant=name, seed=seed, progress="none", **rate)
    finally:
        chapter4.make_model = make_model
        plt.close("all")
    scores = {part: result.scores[part]["accuracy"] for part in ("validation", "test")}
    if variant not in ("gru", "bidirectional"):
        return scores
    model, splits = result.model, result.splits
    scores |= {f"twins {k}": v for k, v in chapter4.told_apart(model, splits).items()}
    for negation in ("not", "never", "hardly", "too"):
        for name, words in (("praise", chapter4.PRAISE), ("blame", chapter4.BLAME)):
            scores[f"{negation} turns {name}"] = chapter4.turned(model, splits, words, negation)
    x, y = splits.test
    right = (chapter4.probabilities(model, chapter4.shuffled(x)) > 0.5) == y
    keras.backend.clear_session()
    return scores | {"shuffled": float(right.mean())}


def tf_idf() -> dict:
    """Chapter 4: words and pairs by tf-idf, in logistic regression; six other random splits too."""
    from kerasbook.data.film import read_film_sentences

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    parts = read_film_sentences()
    texts = [np.array(part.texts, dtype=object) for part in parts]
    signs = [part.ratings > 0 for part in parts]

    def accuracies(texts, signs) -> list[float]:
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2)
        model = make_pipeline(words, LogisticRegression(C=4, max_iter=1000))
        model.fit(texts[0], signs[0])
        return [float(model.score(*part)) for part in zip(texts[1:], signs[1:], strict=True)]

    validation, test = accuracies(texts, signs)
    ends = np.cumsum([len(part) for part in texts])[:-1]
    all_texts, all_signs, others = np.concatenate(texts), np.concatenate(signs), []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(all_texts))
        split = (np.split(every[order], ends) for every in (all_texts, all_signs))
        others.append(accuracies(*split)[1])
    spread = {"mean": float(np.mean(others)), "lowest": min(others), "highest": max(others)}
    return {"validation": validation, "test": test, "six splits": spread}


def first_sign() -> dict:
    """Chapter 5: the accuracy after ten epochs on the first number's sign, over five seeds."""
    from kerasbook.chapter5 import accuracies

    found = {name: accuracies(name) for name in ("simple RNN", "GRU", "LSTM", "Conv1D")}
    found |= {f"forget bias {bias}": accuracies("LSTM", bias) for bias in (0, 1, 3)}
    return {name: spread(runs[:, -1].tolist()) for name, runs in found.items()}


def networks_on_recordings(seeds: int = 5) -> dict:
    """Chapter 5: the accuracy of four kinds of network on the recordings."""
    from kerasbook import chapter5
    from kerasbook.data import load_japanese_vowels
    from kerasbook.training import predict

    import keras
    from keras import layers

    splits, found = load_japanese_vowels(), {}
    cells = {"LSTM": layers.LSTM, "GRU": layers.GRU, "simple RNN": layers.SimpleRNN}
    for name in (*cells, "Conv1D"):
        runs: dict = {"validation": [], "test": []}
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            make = chapter5.make_convolutional
            model = make() if name == "Conv1D" else chapter5.make_model(cell=cells[name])
            chapter5.train(model, splits, seed=seed, progress="none")
            for part, values in runs.items():
                x, y = getattr(splits, part)
                values.append(float(np.mean(predict(model, x).argmax(axis=-1) == y)))
        found[name] = {part: spread(values) for part, values in runs.items()}
        found[name]["weights"] = model.count_params()
    return found


def ladder_of_forecasts(seeds: int = 5) -> dict:
    """Forecasting: the error of each network, one hour ahead and over the next 24 hours."""
    from kerasbook import chapter5_forecasting

    found: dict = {}
    for horizon in (1, 24):
        for network in ("dense", "conv", "gru", "lstm"):
            runs = []
            for seed in range(seeds):
                options = {"horizon": horizon, "network": network, "seed": seed}
                runs.append(silently(chapter5_forecasting.main, **options, progress="none").scores)
                plt.close("all")
            entry = found.setdefault(f"{horizon}h", {})
            for part in ("validation", "test"):
                entry.setdefault(network, {})[part] = spread([run[part]["mae"] for run in runs])
            print(horizon, network, entry[network]["test"], flush=True)
    return found


def small_writer(seed: int, warm_up: bool = True, steps: int = 300, **options) -> float:
    """Returns chapter 6's validation loss of a writer of width 64 after so many steps."""
    from kerasbook import chapter6
    from kerasbook.data import load_shakespeare
    from kerasbook.training import evaluate, fit

    import keras

    keras.utils.set_random_seed(seed)
    splits = load_shakespeare()
    train = tuple(part[: steps * 24] for part in splits.train)
    model = chapter6.make_writer(len(splits.classes), width=64, **options)
    schedule = chapter6.make_schedule(0.004, steps * 24, 24, epochs=1)
    if not warm_up:
        schedule = keras.optimizers.schedules.CosineDecay(0.004, steps)
    optimizer = keras.optimizers.Adam(schedule, beta_2=0.98)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fit(model, train, loss_fn=loss_fn, optimizer=optimizer, batch_size=24, seed=seed)
    validation = tuple(splits.validation)
    return evaluate(model, validation, loss_fn=loss_fn, batch_size=250)["loss"]


def small_writers(seeds: int = 5) -> dict:
    """Returns chapter 6's losses of small writers, with and without warm-up, by positions."""
    kinds = {
        "sinusoidal": {},
        "learned": {"positions": "learned"},
        "none": {"positions": "none"},
        "without warm-up": {"warm_up": False},
        "post-norm": {"post_norm": True},
        "post-norm without warm-up": {"post_norm": True, "warm_up": False},
    }
    found = {}
    for name, options in kinds.items():
        losses = [small_writer(seed, **options) for seed in range(seeds)]
        found[name] = {"mean": float(np.mean(losses)), "sd": float(np.std(losses, ddof=1))}
    return found


def short_training(seeds: int = 5) -> dict:
    """Returns chapter 6's phoneme errors of both encoder–decoders after the same few steps."""
    from kerasbook import chapter6_encoder_decoder as chapter

    import keras

    splits, found = chapter.load_cmudict().take(15_000), {}
    pair = {"recurrent": (chapter.make_recurrent, 0.016)}
    pair |= {"Transformer": (chapter.make_pronouncer, 0.008)}
    for name, (make, learning_rate) in pair.items():
        errors = []
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            model = chapter.train_shortly(make(), splits, learning_rate)
            said = chapter.greedy(model, splits.test.x[0])
            errors.append(chapter.error_rates(said, splits.test.y)["phoneme_error"])
        found[name] = {"mean": float(np.mean(errors)), "sd": float(np.std(errors, ddof=1))}
    return found


def lengths_of_words() -> dict:
    """Chapter 6: letters and sounds of a word, on average over the training part."""
    from kerasbook.data import load_cmudict
    from kerasbook.data.cmudict import PAD

    (letters, _), sounds = load_cmudict().train
    spelled, said = ((rows != PAD).sum(axis=1).mean() for rows in (letters, sounds))
    return {"letters": float(spelled), "sounds": float(said) - 1}  # the last one is END


def small_batches(seeds: int = 5) -> dict:
    """Chapter 9: the scores of `main` with batches of 64, its own rule for the learning rate."""
    from kerasbook import chapter9

    runs = []
    for seed in range(seeds):
        result = silently(chapter9.main, batch_size=64, seed=seed, progress="none")
        runs.append({part: scores["accuracy"] for part, scores in result.scores.items()})
        plt.close("all")
    parts = {part: [run[part] for run in runs] for part in runs[0]}
    return {p: spread(v) | {"sd": float(np.std(v, ddof=1))} for p, v in parts.items()}


def rounding() -> dict:
    """Chapter 8: how many outputs of two runtimes each rule of rounding misses.

    Writes outputs of the reference kernels and of onnxruntime into the ledger's file, too.
    """
    from kerasbook import chapter8
    from kerasbook.testing import rounding as lite

    rules = {"once": chapter8.one_rounding, "twice": chapter8.two_roundings}
    rules["floating point"] = chapter8.in_floating_point
    found, numbers = {}, {}
    for layer, kernel, run in lite.runs():
        found[f"{layer}, {kernel}"] = {name: lite.missed(run, rule) for name, rule in rules.items()}
        if kernel == "reference":
            once, twice = (rule(run.sums, run.multiplier) for rule in list(rules.values())[:2])
            some = lite.kept(run, once != twice)
            numbers |= {f"{layer} {name}": values for name, values in some.items()}
    for layer, run in lite.onnx_runs():
        missed = {name: lite.missed(run, rule) for name, rule in rules.items()}
        found[f"{layer}, onnxruntime"] = missed
        once, twice = (rule(run.sums, run.multiplier) for rule in list(rules.values())[:2])
        some = lite.kept(run, once != twice)
        numbers |= {f"onnxruntime {layer} {name}": values for name, values in some.items()}
    np.savez_compressed(RESULTS.parent / "ledger" / "reference_kernels.npz", **numbers)
    return found


def shuffled_pixels(seeds: int = 5) -> dict:
    """Chapter 3: the validation accuracy of two small networks, pixels in place and shuffled."""
    from kerasbook import chapter3
    from kerasbook.data import load_fashion

    splits = load_fashion().take(3000)
    pixels, found = {"straight": splits, "shuffled": chapter3.shuffle_pixels(splits)}, {}
    for kind in ("dense", "convolutional"):
        for name, data in pixels.items():
            runs = [float(chapter3.train_small(kind, data, seed)) for seed in range(seeds)]
            found[f"{kind}, {name}"] = spread(runs)
    return found


def deep_runs(seeds=range(5), parts=("validation", "test"), **options) -> dict:
    """Deeper networks: training loss and accuracies of one network over the seeds.

    options: of `make_model` and `train` of the chapter.
    """
    from kerasbook import chapter3_residual as chapter
    from kerasbook.data import load_fashion
    from kerasbook.training import evaluate

    import keras

    ours = {
        name: options.pop(name)
        for name in ("network", "blocks", "flip", "shift")
        if name in options
    }
    splits, runs = load_fashion(), []
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        model = chapter.make_model((28, 28, 1), 10, **ours)
        history = chapter.train(model, splits, seed=seed, progress="none", **options).history
        run = {"training loss": history["loss"][-1]}
        for part in parts:
            accuracy = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
            data = getattr(splits, part)
            run[part] = evaluate(model, data, loss_fn=chapter.loss_fn, metrics=accuracy)["accuracy"]
        runs.append(run)
        print(ours, options, seed, run, flush=True)
    return {name: spread([run[name] for run in runs]) for name in runs[0]}


def transfer(seeds: int = 5) -> dict:
    """Deeper networks: the test accuracy on two new garments, by way and number of examples."""
    from kerasbook import chapter3_residual as chapter
    from kerasbook.data import load_fashion

    import keras

    splits, found = load_fashion(), {}
    for seed in range(seeds):
        weights = chapter.learn_eight(splits, seed)
        for way in chapter.WAYS:
            runs = found.setdefault(way, {})
            for count in (10, 50, 200):
                accuracy = chapter.accuracy_with(count, way, weights, splits, seed)
                runs.setdefault(f"{count} examples", []).append(accuracy)
                print(seed, way, count, accuracy, flush=True)
        keras.backend.clear_session()
    return {
        way: {name: spread(values) for name, values in runs.items()} for way, runs in found.items()
    }


DEEP = {  # what differs from the chapter's network of twenty layers
    "plain 8": {"network": "plain", "blocks": 1},
    "plain 20": {"network": "plain"},
    "residual 8": {"blocks": 1},
    "residual 20": {},
    "no augmentation": {"flip": False, "parts": ("validation",)},
    "mirrored and moved": {"shift": 2, "parts": ("validation",)},
    "fast, warm-up": {"learning_rate": 0.4, "epochs": 2, "warm_up": 141, "parts": ("validation",)},
    "fast, none": {"learning_rate": 0.4, "epochs": 2, "warm_up": 0, "parts": ("validation",)},
}


def cheating_network(seed: int, count: int = 60) -> tuple:
    """Returns chapter 10's network, marked test shirts, the class asked for, and the places."""
    from kerasbook import chapter10 as page

    import keras

    splits = page.load_fashion()
    keras.utils.set_random_seed(seed)
    model = page.make_model((28, 28, 1), 10)
    page.train(model, page.plant(splits, seed=seed), seed=seed, progress="none")
    rows = np.flatnonzero(splits.test.y == page.SHIRT)[:count]
    pictures, places = page.put_marks(splits.test.x, rows, seed=1)
    return model, pictures[rows], np.full(count, page.SHIRT), places


def random_layers(seeds: int = 5) -> dict:
    """Chapter 10: what is left of each map when the two upper layers are random."""
    from kerasbook import chapter10 as page

    names = [name for name in page.METHODS if name not in ("occlusion", "random map")]
    found = {name: {"inside": [], "SSIM": [], "points": []} for name in names}
    for seed in range(seeds):
        model, x, kinds, places = cheating_network(seed)
        half = page.randomised(model, page.LAYERS[:2], seed)
        for name in names:
            method = page.METHODS[name]
            _, inside, alike = page.cascade(model, method, x, kinds, seed)[2]
            values = inside, alike, page.pointing_game(method(half, x, kinds), places)
            for column, value in zip(found[name], values, strict=True):
                found[name][column].append(float(value))
            print(seed, name, values, flush=True)
    return {name: {c: spread(v) for c, v in each.items()} for name, each in found.items()}


def shuffled_labels(seeds: int = 5) -> dict:
    """Chapter 10: do networks with right and with shuffled labels use the mark, and point at it?"""
    from kerasbook import chapter10 as page

    splits = page.load_fashion()
    rows = np.flatnonzero(splits.test.y == page.SHIRT)[:60]
    marked, places = page.put_marks(splits.test.x, rows, seed=1)
    found = {}
    for labels in ("right", "shuffled"):
        runs = {"with the mark": [], "without": [], "points at it": []}
        for seed in range(seeds):
            model, _ = page.learn_few(splits, labels == "shuffled", seed)
            maps = page.saliency(model, marked[rows], np.full(len(rows), page.SHIRT))
            values = [page.called_shirt(model, x[rows]) for x in (marked, splits.test.x)]
            for column, value in zip(runs, [*values, page.pointing_game(maps, places)]):
                runs[column].append(float(value))
        print(labels, runs, flush=True)
        found[labels] = {name: spread(values) for name, values in runs.items()}
    return found


def fair_ways(seeds: int = 5) -> dict:
    """Fairness: accuracy and gaps of every way to mend them; what words do to a reader."""
    found: dict = {}
    for seed in range(seeds):
        for name, scores in (fair_run(seed) | reader_bias(seed)).items():
            for column, value in scores.items():
                found.setdefault(name, {}).setdefault(column, []).append(float(value))
        print(seed, {name: {c: v[-1] for c, v in each.items()} for name, each in found.items()})
    return {name: {c: spread(v) for c, v in each.items()} for name, each in found.items()}


def fair_run(seed: int) -> dict[str, dict[str, float]]:
    """Returns accuracy, parity gap and odds gap on the test part: way → name of score → value."""
    from kerasbook import chapter10_fairness as page
    from kerasbook.data import load_adult
    from kerasbook.data.adult import read_adult
    from kerasbook.training import predict

    import keras

    splits, blind = load_adult(), load_adult(["sex"])
    train, *judged = (people.columns["sex"] for people in read_adult())
    pair = np.stack([splits.train.y, train == "Male"], axis=1)
    steps = {
        "penalty": functools.partial(page.make_penalty_step, strength=2.0),
        "adversary": functools.partial(page.make_adversary_step, strength=1.0),
    }
    keras.backend.clear_session()
    model, other = page.trained(splits, seed=seed), page.trained(blind, seed=seed)
    scores = predict(model, splits.test.x)[:, 0]
    answers = {"as trained": scores > 0, "without sex": predict(other, blind.test.x)[:, 0] > 0}
    known, y = predict(model, splits.validation.x)[:, 0], splits.validation.y
    parity = page.parity_thresholds(known, judged[0], np.mean(known > 0))
    answers["thresholds: parity"] = page.above(scores, judged[1], parity)
    chances = page.chance_thresholds(known, y, judged[0], np.mean(known[y == 1] > 0))
    answers["thresholds: equal chances"] = page.above(scores, judged[1], chances)
    curves = page.hulls(known, y, judged[0])
    both = page.common_rates(curves, y.mean())
    coins = np.random.default_rng(seed).uniform(size=len(scores))
    answers["equal odds by a coin"] = coins < page.chances(scores, judged[1], curves, *both)
    for name, step in steps.items():
        fair = page.trained(splits, pair, seed=seed, make_step=step)
        answers[name] = predict(fair, splits.test.x)[:, 0] > 0
    names = ("test accuracy", "test parity gap", "test odds gap")
    return {
        name: dict(zip(names, page.gaps(splits.test.y, yes, judged[1]), strict=True))
        for name, yes in answers.items()
    }


def reader_bias(seed: int) -> dict[str, dict[str, float]]:
    """Returns what chapter 4's reader makes of words for him and for her, and of single names."""
    from kerasbook import chapter4
    from kerasbook import chapter10_fairness as page

    result = silently(chapter4.main, seed=seed, progress="none")
    plt.close("all")
    scores = functools.partial(page.word_scores, result.model, result.splits)
    nouns = [[f"the {word}" for word in side] for side in zip(*map(str.split, page.PAIRS))]
    found = {}
    for name, sides in (("pairs of words", nouns), ("names", (page.MEN, page.WOMEN))):
        first, second = (scores(side).mean(axis=1) for side in sides)
        found[name] = {"him − her": np.mean(first - second)}
    both = np.std([first, second], axis=1, ddof=1).mean()  # of the names
    return found | {"spread of names": {"him − her": both}}


def private_accuracy(sigma: float, seeds: int = 5) -> dict:
    """Privacy: the test accuracy on garments with this noise; 0 is without noise and clipping."""
    from kerasbook import chapter10_privacy as page

    plain = {"clip": 1e6, "learning_rate": 0.05} if sigma == 0 else {}
    runs = []
    for seed in range(seeds):
        options = {"sigma": sigma, "seed": seed, "progress": "none"} | plain
        runs.append(silently(page.main, **options).scores["test"]["accuracy"])
        plt.close("all")
    return spread(runs)


def private_audit() -> dict:
    """Privacy: for each noise, ε from above and from below, and what two attacks catch."""
    from kerasbook import chapter10_privacy as page
    from kerasbook.data import load_fashion

    part, found = load_fashion().train, {}
    guesses = page.NETWORKS * 2 * page.GUESSES
    for sigma in (0.6, 1.0, 1.5, 3.0):
        was_in, losses = page.train_all(part, sigma, learning_rate=0.2)
        real = np.arange(page.POOL) >= page.CANARIES
        right = sum(map(page.right_guesses, was_in, losses))
        row = {"sigma": sigma, "right": right, "guesses": guesses}
        row["lower"] = page.epsilon_from_below(right, guesses)
        row["upper"] = page.promise("poisson", page.POOL // 2, page.BATCH, sigma, page.STEPS)
        for name, scores in (("loss", -losses), ("lira", page.lira(was_in, losses))):
            inside, outside = (scores[:, real][kind[:, real]] for kind in (was_in, ~was_in))
            row[name] = page.true_positive_rate(inside, outside)
        found[f"{sigma:g}"] = row
        print(row, flush=True)
    return found


LORA = {  # what is trained, and with which learning rates
    "full": (0.0005,),
    "rank 1": (0.02,),
    "rank 4": (0.02,),
    "rank 16": (0.01,),
}


def fine_tuned(way: str, learning_rate: float, seeds: int = 5) -> dict:
    """Fine-tuning: losses on films and on plays after 400 sentences about films."""
    runs = [fine_tuning_run(way, learning_rate, seed) for seed in range(seeds)]
    return {name: spread([run[name] for run in runs]) for name in runs[0]}


def fine_tuning_run(way: str, learning_rate: float, seed: int) -> dict[str, float]:
    """Returns the losses of one fine-tuned writer."""
    from kerasbook import chapter7_lora as page
    from kerasbook.data import load_shakespeare

    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    plays, (kind, _, rank) = load_shakespeare(), way.partition(" ")
    films = page.film_splits(plays.classes)
    writer = page.load_writer()
    model = page.adapted(writer, int(rank)) if kind == "rank" else writer
    page.train(model, films.train, learning_rate, seed=seed)
    parts = {"films": films.take(600).validation, "plays": plays.take(600).validation}
    return {name: page.loss_of(model, part) for name, part in parts.items()}


CHAPTERS = {
    "chapter3": {"shuffled pixels": shuffled_pixels},
    "chapter3_residual": {
        name: functools.partial(deep_runs, **options) for name, options in DEEP.items()
    }
    | {"transfer": transfer},
    "chapter4": {"order": order, "readers": ladder_of_readers, "tf-idf": tf_idf},
    "chapter5": {"first sign": first_sign, "networks": networks_on_recordings},
    "chapter5_forecasting": {"ladder": ladder_of_forecasts},
    "chapter6": {"small writers": small_writers},
    "chapter6_encoder_decoder": {"lengths": lengths_of_words, "shortly": short_training},
    "chapter7_lora": {
        f"{way}, {rate:g}": functools.partial(fine_tuned, way, rate)
        for way, rates in LORA.items()
        for rate in rates
    },
    "chapter8": {"rounding": rounding},
    "chapter9": {"batches of 64": small_batches},
    "chapter10": {"random layers": random_layers, "labels": shuffled_labels},
    "chapter10_fairness": {"ways": fair_ways},
    "chapter10_privacy": {
        f"σ = {sigma:g}": functools.partial(private_accuracy, sigma)
        for sigma in (0.0, 0.7, 1.2, 2.0, 4.0)
    }
    | {"audit": private_audit},
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("chapters", nargs="*", help=f"numbers or keys of {', '.join(CHAPTERS)}")
    parser.add_argument("--only", help="the measurement of this name")
    options = parser.parse_args()
    keys = [contents.key_of(name) for name in options.chapters] or list(CHAPTERS)
    if unknown := set(keys) - set(CHAPTERS):
        parser.error(f"nothing is measured for {min(unknown)}")
    for key in keys:
        for name, measure in CHAPTERS[key].items():
            if options.only not in (None, name):
                continue
            if name == "tf-idf" and importlib.util.find_spec("sklearn") is None:
                print("scikit-learn is not installed: tf-idf is left as it was")
                continue
            found = measure()
            print(f"{key}, {name}: {found}", flush=True)
            keep(key, name, found)


def keep(key: str, name: str, found: dict) -> None:
    """Puts a measurement into results.json."""
    results = json.loads(RESULTS.read_text())
    results.setdefault("measurements", {}).setdefault(key, {})[name] = found
    with atomic_path(RESULTS) as temporary:
        temporary.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Measures what the chapters' text states beside the bands, and puts it into results.json.

    python tools/make_measurements.py        # all
    python tools/make_measurements.py 5      # of chapter 5

results.json keeps them under "measurements", chapter by chapter; tests/test_prose.py compares the
text with them. What needs scikit-learn is left as it was where scikit-learn is not installed.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from kerasbook import contents
from kerasbook.files import atomic_path

import numpy as np

RESULTS = Path(__file__).resolve().parent.parent / "kerasbook" / "results.json"


def run(key: str, flags: str = "") -> dict:
    """Returns the scores of a run of the chapter with these flags."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"kerasbook.{key}", "--quiet", *flags.split()]
        subprocess.run([*command, "--output", folder], check=True)
        return json.loads((Path(folder) / "report.json").read_text())["scores"]


def members() -> dict:
    """Chapter 4: the accuracy of each member of the ensemble, trained alone with seed 0."""
    found = {}
    for name in ("bidirectional", "gru --epochs 6", "bag", "linear"):
        scores = run("chapter4", f"--variant {name}")
        found[name.split()[0]] = {part: values["accuracy"] for part, values in scores.items()}
    return found


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


def first_sign(seeds: int = 5) -> dict:
    """Chapter 5: the accuracy after eight epochs on the first number's sign, over the seeds."""
    from kerasbook.chapter5 import learn_first_sign

    from keras import layers

    kinds = {"simple RNN": (layers.SimpleRNN, None)}
    kinds |= {f"forget bias {bias}": (layers.LSTM, bias) for bias in (0, 1, 3)}
    found = {}
    for name, (layer, bias) in kinds.items():
        histories = [learn_first_sign(layer, bias, seed=seed).history for seed in range(seeds)]
        last = [history["accuracy"][-1] for history in histories]
        found[name] = {"mean": float(np.mean(last)), "lowest": min(last), "highest": max(last)}
    return found


def reach_of_the_simple_rnn(units: int = 64, steps: int = 100) -> dict:
    """Chapter 5: the size of a fresh simple RNN's gradient 49 steps back, by numbers per step."""
    from kerasbook.chapter5 import gradient_path, simple_rnn_step, zero_state

    import keras
    import tensorflow as tf

    found = {}
    for inputs in (1, 12):
        keras.utils.set_random_seed(0)
        x = tf.random.stateless_normal((16, steps, inputs), seed=(1, 1))
        layer = keras.layers.SimpleRNN(units)
        layer.build(x.shape)
        weights, (h, _) = layer.get_weights(), zero_state(x, units)
        path = gradient_path(lambda x, s, w=weights: (simple_rnn_step(x, *s, w),), x, (h,))
        found[f"{inputs} per step"] = float(path[49])
    return found


def lengths_of_words() -> dict:
    """Chapter 6: letters and sounds of a word, on average over the training part."""
    from kerasbook.data import load_cmudict
    from kerasbook.data.cmudict import PAD

    (letters, _), sounds = load_cmudict().train
    spelled, said = ((rows != PAD).sum(axis=1).mean() for rows in (letters, sounds))
    return {"letters": float(spelled), "sounds": float(said) - 1}  # the last one is END


def translation() -> dict:
    """Chapter 6: the scores of `--task translation` on the test part, with seed 0."""
    return run("chapter6", "--task translation")["test"]


CHAPTERS = {
    "chapter4": {"members": members, "tf-idf": tf_idf},
    "chapter5": {"first sign": first_sign, "reach": reach_of_the_simple_rnn},
    "chapter6": {"lengths": lengths_of_words, "translation": translation},
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

"""Networks and methods of chapter 8's grid, which tools/make_compression_grid.py measures."""

import contextlib
import functools
import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from kerasbook import chapter4, chapter6, chapter8
from kerasbook.chapter2 import loss_fn
from kerasbook.data import Part, load
from kerasbook.data.inputs import describe
from kerasbook.inference import conversion, models

import keras
import numpy as np
import tensorflow as tf

# --- the networks -----------------------------------------------------------------------------


class Network(NamedTuple):
    """A network of the book, as the grid needs it."""

    splits: Callable[[], Any]
    train: Callable[[int], Any]  # seed → the trained network
    small: Callable[[Any], Any]  # splits → a fresh small one for the same task
    loss_fn: Callable
    soft_loss: Callable  # (teacher's logits, logits) → scalar
    fresh: dict[str, Any]  # how the small one is trained
    more: dict[str, Any]  # how a network is trained on
    seeds: int = 5


def large_cnn(seed: int) -> Any:
    """Returns chapter 3's network, trained as chapter 8 does."""
    keras.utils.set_random_seed(seed)
    model = chapter8.make_network()
    chapter8.train(model, load("fashion").train, seed=seed)
    return model


def of_chapter(chapter: Any, seed: int) -> Any:
    """Returns the network of a chapter's `main`."""
    with contextlib.redirect_stdout(io.StringIO()):
        return chapter.main(seed=seed, progress="none").model


def of_two(logits: Any) -> Any:
    """Returns logits (n, 2) of two classes from those of the second one, (n, 1)."""
    return tf.concat([tf.zeros_like(logits), logits], axis=-1)


def part_of_shakespeare() -> Any:
    """Returns Shakespeare's splits: a quarter of the training part, in whole batches; 500 rows."""
    splits = load("shakespeare")
    train = splits.take(len(splits.train.x) // 4).train
    few = splits.take(500)
    return replace(few, train=Part(*chapter6.whole_batches(train, 24)))


NETWORKS = {
    "cnn": Network(
        lambda: load("fashion"),
        large_cnn,
        lambda splits: chapter8.make_network(**chapter8.SMALL, name="small"),
        loss_fn,
        lambda teacher, logits: chapter8.distillation_loss(teacher, logits, 4.0),
        {},
        {"epochs": 3, "learning_rate": 0.001},
    ),
    "gru": Network(
        lambda: load("film_sentences"),
        functools.partial(of_chapter, chapter4),
        lambda splits: chapter4.make_model(len(splits.vocabulary), width=8, units=8),
        keras.losses.BinaryCrossentropy(from_logits=True),
        lambda teacher, z: chapter8.distillation_loss(of_two(teacher), of_two(z), 2.0),
        {"epochs": 5, "learning_rate": 0.002, "batch_size": 128},
        {"epochs": 1, "learning_rate": 0.001, "batch_size": 128},
    ),
    "writer": Network(
        part_of_shakespeare,
        functools.partial(of_chapter, chapter6),
        lambda splits: chapter6.make_writer(len(splits.classes), width=64, blocks=1),
        loss_fn,
        lambda teacher, logits: chapter8.distillation_loss(teacher, logits, 2.0),
        {"epochs": 1, "learning_rate": 0.002, "batch_size": 24},
        {"epochs": 1, "learning_rate": 0.001, "batch_size": 24},
        seeds=3,
    ),
}


# --- what is made of a network ----------------------------------------------------------------


class InRuntime(NamedTuple):
    """A network that only a runtime has: the format's name and the content of the file."""

    format: str
    content: bytes


class Task(NamedTuple):
    """A trained network from which a method begins."""

    network: Network
    large: Any
    splits: Any
    seed: int
    made: Callable[[str], Any]  # method → its network of this seed


def rounded(task: Task, bits: int) -> Any:
    """Returns the network with so many bits for a weight, a scale for each unit."""
    small = chapter8.copy_of(task.large)
    rounding = functools.partial(chapter8.per_channel, bits=bits)
    small.set_weights(chapter8.changed(small.get_weights(), rounding))
    return small


def trained_rounded(task: Task, bits: int) -> Any:
    """Returns the network, trained on with so many bits for a weight."""
    small = chapter8.copy_of(task.large)
    options = {"loss_fn": task.network.loss_fn, "seed": task.seed}
    chapter8.train_rounded(small, task.splits.train, bits, **task.network.more, **options)
    return small


def trained_in_8_bits(task: Task) -> Any:
    """Returns chapter 3's network, trained on for an epoch with outputs of 8 bits, too."""
    small = chapter8.with_ranges(task.large, task.splits.train.x[:500])
    chapter8.train_rounded(small, task.splits.train, 8, epochs=1, seed=task.seed)
    chapter8.round_biases(small)
    return small


def by_keras(task: Task, bits: int) -> Any:
    """Returns the network after Keras' `quantize`."""
    return chapter8.quantised_by_keras(task.large, f"int{bits}")


def by_litert(task: Task) -> InRuntime:
    """Returns what LiteRT's converter makes of the network, weights of 8 bits."""
    with tempfile.TemporaryDirectory() as folder:
        path, shape = Path(folder) / "model.tflite", task.splits.train.x.shape[1:]
        signature = [keras.InputSpec(shape=(1, *shape), dtype=task.large.inputs[0].dtype)]
        options = {"optimizations": [tf.lite.Optimize.DEFAULT], "input_signature": signature}
        with conversion.nothing_printed():
            task.large.export(path, "litert", verbose=False, **options)
        return InRuntime("litert", path.read_bytes())


def by_onnxruntime(task: Task) -> InRuntime:
    """Returns what onnxruntime's `quantize_dynamic` makes of the network, weights of 8 bits."""
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        conversion.write(task.large, describe(task.splits), "onnx", before)
        with conversion.nothing_printed():
            quantize_dynamic(before, after, per_channel=True)
        return InRuntime("onnx", after.read_bytes())


def in_blocks(task: Task) -> Any:
    """Returns the network with weights of 4 bits in blocks, out of the chapter's own file."""
    small = chapter8.copy_of(task.large)
    with tempfile.TemporaryDirectory() as folder:
        chapter8.write_int4(Path(folder) / "weights.npz", task.large.get_weights())
        small.set_weights(chapter8.read_int4(Path(folder) / "weights.npz"))
    return small


def pruned(task: Task, share: float, train: bool = True) -> Any:
    """Returns the network with a share of all its weights zero; trained on, or not."""
    small, weights = chapter8.copy_of(task.large), task.large.get_weights()
    if train:
        options = {"loss_fn": task.network.loss_fn, "seed": task.seed}
        chapter8.prune(small, task.splits.train, share, **task.network.more, **options)
    else:
        small.set_weights(chapter8.masked(weights, chapter8.masks_together(weights, share)))
    return small


def pruned_and_rounded(task: Task) -> Any:
    """Returns the network with nine in ten weights zero and the others in 8 bits."""
    before = task._replace(large=task.made("90 % zero"))
    is_cnn = task.network is NETWORKS["cnn"]
    return chapter8.in_int8(before.large) if is_cnn else rounded(before, 8)


def without_filters(task: Task, share: float) -> Any:
    """Returns chapter 3's network with a share less filters, trained on."""
    options = {"share": share, "seed": task.seed}
    return chapter8.compress(task.large, task.splits.train, "channels", **options)


def alone(task: Task) -> Any:
    """Returns a small network that learned from labels."""
    small, options = task.network.small(task.splits), task.network.fresh
    chapter8.train(
        small, task.splits.train, loss_fn=task.network.loss_fn, seed=task.seed, **options
    )
    return small


def taught(task: Task, share: float = 0.7) -> Any:
    """Returns a small network that learned from the large one's logits, and from labels."""
    small, (x, y) = task.network.small(task.splits), task.splits.train
    logits = chapter8.predict(task.large, x)
    y = np.concatenate([logits, y[..., np.newaxis]], axis=-1).astype("float32")

    def loss(y, logits):
        soft = task.network.soft_loss(y[..., :-1], logits)
        return share * soft + (1 - share) * task.network.loss_fn(y[..., -1], logits)

    chapter8.train(small, (x, y), loss_fn=loss, seed=task.seed, **task.network.fresh)
    return small


def taught_as_it_comes(task: Task) -> Any:
    """Returns a small network that learned from Keras' loss with its default."""
    small, options = task.network.small(task.splits), task.network.fresh | {"seed": task.seed}
    chapter8.teach(small, task.large, task.splits.train, chapter8.as_it_comes, **options)
    return small


METHODS: dict[str, Callable[[Task], Any]] = {
    "32 bits": lambda task: task.large,
    "8 bits": functools.partial(rounded, bits=8),
    "8 bits by Keras": functools.partial(by_keras, bits=8),
    "8 bits by LiteRT": by_litert,
    "8 bits by onnxruntime": by_onnxruntime,
    "8 bits, trained": functools.partial(trained_rounded, bits=8),
    "4 bits in blocks": in_blocks,
    "4 bits by Keras": functools.partial(by_keras, bits=4),
    "4 bits, trained": functools.partial(trained_rounded, bits=4),
    "2 bits": functools.partial(rounded, bits=2),
    "2 bits, trained": functools.partial(trained_rounded, bits=2),
    "50 % zero": functools.partial(pruned, share=0.5),
    "80 % zero": functools.partial(pruned, share=0.8),
    "90 % zero": functools.partial(pruned, share=0.9),
    "90 % zero, not trained": functools.partial(pruned, share=0.9, train=False),
    "90 % zero, 8 bits": pruned_and_rounded,
    "small, alone": alone,
    "small, taught": taught,
}
OF_THE_CNN = {
    "8 bits": lambda task: chapter8.in_int8(task.large),
    "8 bits, trained": trained_in_8_bits,
    "half the filters": functools.partial(without_filters, share=0.5),
    "a quarter of the filters": functools.partial(without_filters, share=0.75),
    "small, Keras' default": taught_as_it_comes,
}


def methods_of(name: str) -> dict[str, Callable[[Task], Any]]:
    """Returns the methods for a network."""
    return METHODS | OF_THE_CNN if name == "cnn" else METHODS


def as_function(made: Any) -> Callable:
    """Returns the function of a made network: arrays → logits."""
    if not isinstance(made, InRuntime):
        return lambda x: chapter8.predict(made, x)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / conversion.FORMATS[made.format].name
        path.write_bytes(made.content)
        return models.load(path)

"""A saved model as a function of arrays, whatever its format; what is damaged or unsafe is refused.

The function takes an array for each input, all of n examples in the shapes of inputs.json, and
returns the output as float32 (n, …).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kerasbook import contents
from kerasbook.archives import SMALL, ArchiveError, check_archive
from kerasbook.inference.saved import RunError
from kerasbook.machine import with_extra
from kerasbook.quiet import standard_error_put_aside

import numpy as np

Model = Callable[..., np.ndarray]
# Layers that run code which the file brings along or fetches.
UNSAFE = {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}


def load(path: Path) -> Model:
    """Returns the model of a file or a SavedModel's folder.

    Raises:
        RunError: it is damaged, not safe to load, or what runs it is not installed.
    """
    if path.is_dir():
        return load_saved_model(path)
    return {".onnx": load_onnx, ".tflite": load_litert}.get(path.suffix, load_keras)(path)


# --- .keras -------------------------------------------------------------------------------


def load_keras(path: Path) -> Model:
    """Returns the model of a .keras file; imports TensorFlow, and chapters if it has their layers.

    Raises:
        RunError: it is damaged or not safe to load.
    """
    return as_function(read_keras(path))


def read_keras(path: Path) -> Any:
    """Returns the keras.Model of a .keras file, uncompiled.

    Raises:
        RunError: it is damaged or not safe to load.
    """
    config = read_config(path)
    for module in chapters_in(config, path):
        importlib.import_module(module)
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of h5py, of Keras, of any layer that is built from a wrong config
        raise damaged(path, str(error) or type(error).__name__) from error


def as_function(model: Any) -> Model:
    """Returns a keras.Model as a function of arrays."""
    import tensorflow as tf

    compiled = tf.function(lambda *x: model(x if len(x) > 1 else x[0], training=False))
    return lambda *arrays: np.asarray(compiled(*map(tf.constant, arrays)), np.float32)


def read_config(path: Path) -> Any:
    """Returns the description of the layers in a .keras file, after looking through the file.

    Raises:
        RunError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, largest=20 * path.stat().st_size + SMALL)
            if broken := archive.testzip():
                raise damaged(path, f"{broken} in it has a wrong checksum")
            return json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, ArchiveError, KeyError, ValueError, EOFError) as error:
        raise damaged(path, str(error)) from None


def chapters_in(config: Any, path: Path) -> set[str]:
    """Returns the chapters whose layers a model has, as modules.

    Raises:
        RunError: it has layers that are neither Keras' nor a chapter's, or that are not safe.
    """
    known = {page.module for page in contents.chapters().values()}
    found = set()
    for node in objects_in(config):
        name, module = str(node["class_name"]), str(node.get("module") or "keras")
        if name in UNSAFE:
            raise RunError(
                f"{path} is not safe to load: it has a {name.strip('_')}, which runs code that the "
                "file brings along; write a layer of your own class in its place, and save again"
            )
        if module in known:
            found.add(module)
        elif module.partition(".")[0] not in ("keras", "builtins"):
            raise RunError(
                f"{path} cannot be loaded: it has a {name} of {module}, which is neither of Keras "
                "nor of a chapter; convert it where it was made, to .onnx or .tflite"
            )
    return found


def objects_in(config: Any) -> Iterator[dict]:
    """Yields every part of a configuration that names a class, but for what compiles the model."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for name, each in config.items():
            if name != "compile_config":
                yield from objects_in(each)
    elif isinstance(config, list):
        for each in config:
            yield from objects_in(each)


def damaged(path: Path, why: str) -> RunError:
    """Returns the error for a file that cannot be read."""
    lines = [line.strip() for line in why.splitlines() if line.strip()] or ["nothing is in it"]
    return RunError(
        f"{path} is damaged ({lines[0].rstrip('.:')[:120]}): copy it anew, or make it again, with "
        "the chapter's command or with `kerasbook convert`"
    )


# --- converted ----------------------------------------------------------------------------


def load_onnx(path: Path) -> Model:
    """Returns the model of an .onnx file; TensorFlow is not imported.

    Raises:
        RunError: it is damaged, or onnxruntime is not installed.
    """
    onnxruntime = needed("onnxruntime", path)
    content = read_whole(path)
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnxruntime's own classes
        raise damaged(path, str(error)) from None
    names = [each.name for each in session.get_inputs()]
    return lambda *arrays: np.asarray(session.run(None, dict(zip(names, arrays)))[0], np.float32)


def load_litert(path: Path) -> Model:
    """Returns the model of a .tflite file, which takes one example at a time, without TensorFlow.

    Raises:
        RunError: it is damaged, or ai-edge-litert is not installed.
    """
    interpreter = needed("ai_edge_litert.interpreter", path)
    content, failure = read_whole(path), ""
    with standard_error_put_aside():  # where it tells of its kernels, and of what is damaged
        try:
            model = interpreter.Interpreter(model_content=content)
            model.allocate_tensors()
            # args_0, args_1: the signature keeps the order of the inputs, the tensors do not
            places = model.get_signature_runner("serving_default").get_input_details()
        except Exception as error:  # ValueError or RuntimeError, with the library's own message
            failure = str(error) or type(error).__name__
    if failure:
        raise damaged(path, failure)
    inputs = [places[name]["index"] for name in sorted(places)]
    (output,) = (each["index"] for each in model.get_output_details())

    def run(*arrays):
        rows = []
        for example in zip(*arrays):
            for index, array in zip(inputs, example):
                model.set_tensor(index, array[np.newaxis])
            model.invoke()
            rows.append(model.get_tensor(output)[0].copy())
        return np.asarray(rows, np.float32)

    return run


def read_whole(path: Path) -> bytes:
    """Returns the bytes of a converted file, checked where the run's report tells what they are.

    Neither format has a checksum: a weight that lost a bit would only give other answers.

    Raises:
        RunError: they are others than those that were written.
    """
    content, told = path.read_bytes(), None
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        report = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
        told = report["converted"][path.name]
    if told is not None and told != hashlib.sha256(content).hexdigest():
        raise damaged(path, "its sha256 is not the one in report.json")
    return content


def load_saved_model(folder: Path) -> Model:
    """Returns the model of a SavedModel's folder; imports TensorFlow, but not Keras.

    Raises:
        RunError: it is damaged.
    """
    import tensorflow as tf

    try:
        model = tf.saved_model.load(str(folder))
        serve = model.serve
    except Exception as error:  # OpError, ValueError, AttributeError, by what is wrong with it
        raise damaged(folder, str(error)) from None

    def run(*arrays):
        given = arrays if len(arrays) == 1 else (list(arrays),)
        return np.asarray(serve(*given), np.float32)

    run.keep = model  # its variables live as long as it does
    return run


def needed(module: str, path: Path) -> Any:
    """Returns a library of the extra `convert`.

    Raises:
        RunError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0].replace("_", "-")
        raise RunError(
            f"{path} needs {name}, which is not installed: {with_extra('convert')}"
        ) from None

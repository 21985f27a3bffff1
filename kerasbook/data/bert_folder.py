"""The folder in which a BERT is handed on: config.json, model.safetensors and vocab.txt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasbook.data import safetensors, wordpieces
from kerasbook.data.splits import DataError

import numpy as np

SIZES = {  # of chapter 7's `Bert`, and what config.json calls them
    "words": "vocab_size",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "blocks": "num_hidden_layers",
    "hidden": "intermediate_size",
    "places": "max_position_embeddings",
    "segments": "type_vocab_size",
    "epsilon": "layer_norm_eps",
}
GELUS = {"gelu": True, "gelu_new": False, "gelu_pytorch_tanh": False}  # whether it is the exact one
LARGEST = 10**6


def read(folder: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray], tuple[str, ...]]:
    """Returns options of `Bert`, arrays and word pieces of a folder as `transformers` writes it.

    Raises:
        DataError: a file is missing or damaged, or they are not of one BERT.
    """
    folder = Path(folder)
    options = read_config(folder / "config.json")
    arrays, _ = safetensors.read(folder / "model.safetensors")
    try:
        pieces = wordpieces.read_pieces((folder / "vocab.txt").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{folder / 'vocab.txt'} cannot be read: {error}") from None
    if len(pieces) != options["words"]:
        raise DataError(
            f"{folder}: vocab.txt has {len(pieces):,} pieces, config.json {options['words']:,}"
        )
    return options, arrays, pieces


def read_config(path: Path) -> dict[str, Any]:
    """Returns the options of `Bert` that a config.json means.

    Raises:
        DataError: it cannot be read, or is not that of a BERT.
    """
    try:
        return options_of(json.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from None


def options_of(config: Any, path: str) -> dict[str, Any]:
    """Returns the options of `Bert` that the content of a config.json means; `path` is its name.

    Raises:
        DataError: it is not that of a BERT.
    """
    if not isinstance(config, dict) or set(SIZES.values()) - set(config):
        missing = sorted(set(SIZES.values()) - set(config))[:1]
        raise DataError(f"{path} is not that of a BERT: it has no {''.join(missing)}")
    kind, gelu = config.get("model_type", "bert"), config.get("hidden_act", "gelu")
    if kind != "bert" or gelu not in GELUS:
        raise DataError(f"{path} is of a {kind} with {gelu}: only BERT with gelu is read")
    options = {name: config[theirs] for name, theirs in SIZES.items()}
    whole = {name: value for name, value in options.items() if name != "epsilon"}
    if any(type(value) is not int or not 0 < value < LARGEST for value in whole.values()):
        raise DataError(f"{path} has a size that is no whole number above 0: {whole}")
    if type(options["epsilon"]) is not float or not 0 < options["epsilon"] < 1:
        raise DataError(f"{path} has a layer_norm_eps that is not between 0 and 1")
    return options | {"exact": GELUS[gelu]}


def config_of(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of a config.json for the sizes of a `Bert`."""
    gelu = "gelu" if sizes["exact"] else "gelu_new"
    config = {theirs: sizes[name] for name, theirs in SIZES.items()}
    return config | {"model_type": "bert", "hidden_act": gelu, "pad_token_id": 0}


def write(
    folder: str | Path,
    sizes: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    pieces: Sequence[str],
    kind: str,
) -> None:
    """Writes such a folder; kind: the class of `transformers` that the arrays are for."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps(config_of(sizes) | {"architectures": [kind]}, indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    safetensors.write(folder / "model.safetensors", arrays, {"format": "pt"})

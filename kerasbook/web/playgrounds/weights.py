"""The weights of the playgrounds: 16-bit numbers in a script, which a page can load from a folder.

A file `NAME.js` calls `kerasbook.keep(NAME, {...})` with the names and shapes of the weights, all
their numbers as one base64 text of float16, and what else the page needs. `weights.json` has each
file's SHA-256, the seed and the command that trained the model, and its score after rounding.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from kerasbook.web.playgrounds import WEIGHTS

import numpy as np

ABOUT = WEIGHTS / "weights.json"
CALL = re.compile(r'kerasbook\.keep\("(\w+)", (\{.*\})\);\n', re.DOTALL)
COUNTED = re.compile(r"^(dense)(_\d+)?$")


def rounded(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Returns arrays whose numbers float16 can hold, as float32.

    Raises:
        ValueError: a number is too large for 16 bits.
    """
    with np.errstate(over="ignore"):
        found = [np.asarray(array, "float16").astype("float32") for array in arrays]
    if not all(np.isfinite(array).all() for array in found):
        raise ValueError("a weight is too large for 16 bits: this model cannot be in a playground")
    return found


def named_weights(model) -> dict[str, np.ndarray]:
    """Returns a model's weights by their paths; layers without a name of theirs are counted anew.

    Random seeds, which Keras counts among the variables, are left out.
    """
    seen: dict[str, list[str]] = {}
    found = {}
    for weight in model.weights:
        parts = weight.path.split("/")
        for place, part in enumerate(parts):
            if COUNTED.match(part):
                owner = "/".join(parts[:place])
                known = seen.setdefault(owner, [])
                if part not in known:
                    known.append(part)
                parts[place] = f"dense_{known.index(part)}"
        found["/".join(parts)] = weight.numpy()
    return found


def script_of(name: str, weights: dict[str, np.ndarray], extra: dict[str, Any]) -> str:
    """Returns the text of a file of weights."""
    numbers = np.concatenate([np.ravel(array) for array in weights.values()]).astype("<f2")
    content = {
        "shapes": {path: list(array.shape) for path, array in weights.items()},
        "numbers": base64.b64encode(numbers.tobytes()).decode(),
    }
    text = json.dumps(content | extra, ensure_ascii=False, separators=(",", ":"))
    return f'globalThis.kerasbook ??= {{}};\nkerasbook.keep("{name}", {text});\n'


def write(name: str, weights: dict[str, np.ndarray], extra: dict, about: dict) -> None:
    """Writes a file of weights, and its row of weights.json."""
    WEIGHTS.mkdir(exist_ok=True)
    data = script_of(name, weights, extra).encode()
    (WEIGHTS / f"{name}.js").write_bytes(data)
    rows = json.loads(ABOUT.read_text(encoding="utf-8")) if ABOUT.is_file() else {}
    rows[name] = {"sha256": hashlib.sha256(data).hexdigest(), **about}
    ABOUT.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read(name: str) -> tuple[dict[str, np.ndarray], dict]:
    """Returns the weights of a file by their paths, float32, and all that stands in it."""
    content = json.loads(CALL.search((WEIGHTS / f"{name}.js").read_text(encoding="utf-8"))[2])
    numbers = np.frombuffer(base64.b64decode(content["numbers"]), "<f2").astype("float32")
    weights, at = {}, 0
    for path, shape in content["shapes"].items():
        weights[path] = numbers[at : at + np.prod(shape, dtype=int)].reshape(shape)
        at += weights[path].size
    return weights, content

"""What a user's keras.json and environment say changes nothing in the book."""

import json
import os
import subprocess
import sys

import pytest

SETTINGS = """
import kerasbook, keras, json, os
from keras.src.backend import config
print(json.dumps({
    "floatx": keras.config.floatx(), "epsilon": keras.config.epsilon(),
    "image_data_format": keras.config.image_data_format(), "backend": keras.config.backend(),
    "max_epochs": keras.config.max_epochs(), "steps": keras.config.max_steps_per_epoch(),
    "nnx": keras.config.is_nnx_enabled(), "policy": keras.config.dtype_policy().name,
    "home": config.keras_home(), "variable": os.environ.get("KERAS_HOME"),
}))
"""
FILE = {"floatx": "float16", "epsilon": 1e-2, "image_data_format": "channels_first"}
FILE |= {"backend": "jax", "nnx_enabled": True}
VARIABLES = {"KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1"}
VARIABLES |= {"KERAS_NNX_ENABLED": "true", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2"}


def run(program, home, variables):
    """Runs a program where the user's home is `home`."""
    names = ("KERAS_HOME", *VARIABLES)
    environment = {name: value for name, value in os.environ.items() if name not in names}
    python = [sys.executable, "-W", "error::UserWarning", "-c", program]
    environment |= {"HOME": str(home), **variables}
    return subprocess.run(python, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("text", [json.dumps(FILE), '{"floatx": "float8"}', '{"epsilon": 1}', "[]"])
@pytest.mark.parametrize("named", [False, True])
def test_keras_begins_with_its_defaults(tmp_path, text, named):
    folder = tmp_path / ("elsewhere" if named else ".keras")
    folder.mkdir()
    (folder / "keras.json").write_text(text)
    own = {"KERAS_HOME": str(folder)} if named else {}
    done = run(SETTINGS, tmp_path, VARIABLES | own)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "floatx": "float32",
        "epsilon": 1e-7,
        "image_data_format": "channels_last",
        "backend": "tensorflow",
        "max_epochs": None,
        "steps": None,
        "nnx": False,
        "policy": "float32",
        "home": str(folder),
        "variable": own.get("KERAS_HOME"),
    }
    assert (folder / "keras.json").read_text() == text


def test_keras_imported_first_with_other_settings_is_told(tmp_path):
    program = "import keras; keras.config.set_floatx('float16'); import kerasbook"
    done = run(program, tmp_path, {"KERAS_BACKEND": "tensorflow"})
    assert "has floatx float16" in done.stderr
    assert "import kerasbook first" in done.stderr
    quiet = run("import keras, kerasbook", tmp_path, {"KERAS_BACKEND": "tensorflow"})
    assert "import kerasbook first" not in quiet.stderr

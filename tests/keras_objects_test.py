"""`import seer_tf` is quick, and Keras reads files with our classes in either order of the imports."""

import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from seer_tf import keras_objects
from seer_tf.models.layers import Conv2D, SqueezeExcitation
from seer_tf.optimizers.lars import LARS

_ROOT = pathlib.Path(__file__).parent.parent
_LOAD = """
model = load("model.keras")
print(type(model.layers[0]).__module__, type(model.optimizer).__module__)
"""


def _run(code: str, cwd: pathlib.Path) -> str:
    """Returns the output of the code in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["seer_tf", "seer_tf.config", "seer_tf.finetuning.config", "seer_tf.errors"])
def test_the_import_loads_no_large_library_and_is_quick(module: str, tmp_path: pathlib.Path) -> None:
    heavy = "{'tensorflow', 'keras', 'numpy', 'matplotlib'} & sys.modules.keys()"
    code = f"import time; start = time.process_time(); import {module}, sys; "
    code += f"print({heavy}, time.process_time() - start)"
    loaded, seconds = _run(code, tmp_path).rsplit(" ", 1)
    assert loaded == "set()"
    assert float(seconds) < 0.3  # seconds of processor time, so a busy machine does not matter


def test_every_class_of_the_package_is_known() -> None:
    pattern = re.compile(r'register_keras_serializable\(package="seer_tf"\)\nclass (\w+)')
    registered = {
        (".".join(path.relative_to(_ROOT).with_suffix("").parts), name)
        for path in (_ROOT / "seer_tf").rglob("*.py")
        for name in pattern.findall(path.read_text())
    }
    assert registered == {(module, name) for module, names in keras_objects._CLASSES.items() for name in names}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory with a compiled model of our layers and optimizer."""
    directory = tmp_path_factory.mktemp("saved")
    model = keras.Sequential([keras.Input([4, 4, 3]), Conv2D(4, 3), SqueezeExcitation(2)])
    model.compile(optimizer=LARS(0.1), loss="mse")
    model.fit(np.zeros([1, 4, 4, 3]), np.zeros([1, 4, 4, 4]), verbose=0)
    model.save(directory / "model.keras")
    return directory


# models/backbones/regnet/network_test.py reads a file after `import keras, seer_tf`.
@pytest.mark.parametrize(
    "imports",
    [
        "import seer_tf; from keras.saving import load_model as load",
        *(
            pytest.param(text, marks=pytest.mark.slow)
            for text in (
                "from keras.saving import load_model as load; import seer_tf",
                "import seer_tf, tensorflow as tf; load = tf.keras.models.load_model",
                "import tensorflow as tf; load = tf.keras.models.load_model; import seer_tf",
                "import seer_tf.optimizers.lars, keras; load = keras.saving.load_model",
                "import seer_tf.models.layers, keras; load = keras.saving.load_model",
            )
        ),
    ],
)
def test_keras_loads_a_file_after(imports: str, saved: pathlib.Path) -> None:
    assert _run(f"{imports}\n{_LOAD}", saved) == "seer_tf.models.layers seer_tf.optimizers.lars"

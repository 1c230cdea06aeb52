"""The public names of `import seer_tf`. Each name is imported at its first use, and no module hides a name."""

import pathlib
import subprocess
import sys

import pytest

import seer_tf
from tests.places import ROOT


def test_every_public_name_is_there_and_is_completed() -> None:
    assert {name for name in seer_tf.__all__ if not hasattr(seer_tf, name)} == set()
    assert set(seer_tf.__all__) <= set(dir(seer_tf))


def test_no_module_has_the_name_of_a_function() -> None:
    """Python would replace such a function by the module as soon as somebody imports the module."""
    modules = {path.stem for path in (ROOT / "seer_tf").iterdir()}
    assert modules & set(seer_tf.__all__) == set()


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'pretrian'"):
        getattr(seer_tf, "pretrian")  # noqa: B009


def test_the_import_writes_nothing_and_completes_without_tensorflow(tmp_path: pathlib.Path) -> None:
    code = "import sys, seer_tf; dir(seer_tf); seer_tf.InputError; assert 'tensorflow' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_configs_and_errors_need_neither_tensorflow_nor_keras() -> None:
    code = (
        "import sys, seer_tf.config, seer_tf.finetuning.config, seer_tf.errors; "
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")

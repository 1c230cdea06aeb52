"""The losses beside lightly's: a difference is found, and an environment without lightly gets one sentence."""

import importlib.util
import sys

import numpy as np
import pytest

from benchmarks.suite.view_losses import differences, ours, random_inputs, theirs
from seer_tf.errors import InputError
from tests.references.byol import regression
from tests.references.info_nce import info_nce
from tests.references.nt_xent import nt_xent


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_our_part_equals_the_references_and_a_difference_is_found() -> None:
    inputs = {name: each.astype(np.float64) for name, each in random_inputs().items()}
    views = np.stack([inputs["one"], inputs["other"]])
    one, other = _unit(views)
    expected = {
        "simclr": np.array(nt_xent(np.stack([one, other]), temperature=0.2)),
        "moco": np.array(info_nce(one, other, inputs["queue"], temperature=0.2)),
        "byol": np.array(regression(views, views)),
    }
    found = ours(random_inputs())
    assert max(differences(found, expected).values()) < 1e-5
    assert found["moco/gradient"].shape == views.shape and not found["moco/gradient"][1].any()
    wrong = {**found, "byol": found["byol"] * 1.001}
    assert differences(wrong, found) == {**dict.fromkeys(found, 0.0), "byol": pytest.approx(1e-3, rel=1e-2)}


@pytest.mark.skipif(importlib.util.find_spec("lightly") is not None, reason="lightly is installed here")
def test_an_environment_without_lightly_gets_one_sentence() -> None:
    with pytest.raises(InputError, match="cannot run lightly .*No module named 'lightly'.*; install lightly"):
        theirs(random_inputs(), sys.executable)


def test_a_missing_python_gets_one_sentence() -> None:
    with pytest.raises(InputError, match="nowhere/python cannot be run"):
        theirs(random_inputs(), "nowhere/python")

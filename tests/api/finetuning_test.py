"""Fine-tuning by Python: arrays as data, the run of the command, and what is refused."""

import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

import seer_tf
from seer_tf.errors import InputError
from seer_tf.models import RegNetY

_SHORT = {
    "run.num_steps": 12,
    "run.log_every_steps": 6,
    "run.checkpoint_every_steps": 6,
    "data.global_batch_size": 12,
}


def _colours(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns noise that is blue or red, uint8 [N, 32, 32, 3], and the colours."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 90, [num_images, 32, 32, 3]).astype(np.uint8)
    labels = np.arange(num_images) % 2
    images[labels == 0, ..., 2] += 150
    images[labels == 1, ..., 0] += 150
    return images, np.array(["blue", "red"])[labels]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A small backbone in a `.keras` file."""
    path = tmp_path_factory.mktemp("backbone") / "backbone.keras"
    keras.utils.set_random_seed(0)
    RegNetY("90MF", stem_stride=1).save(path)
    return path


@pytest.mark.slow
def test_arrays_become_shards_of_the_run_and_the_call_again_continues(
    backbone: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    logged: dict[int, Any] = {}
    arguments: dict[str, Any] = {"train": _colours(36, 0), "test": _colours(16, 1), "recipe": "finetune_small"}
    tuned = seer_tf.finetune(backbone, tmp_path / "run", **arguments, settings=_SHORT, on_log=logged.__setitem__)
    assert list(logged) == [6, 12] and tuned.stopped_by is None and tuned.result is not None
    assert (tuned.result.num_train_images, tuned.result.num_test_images, tuned.result.num_classes) == (36, 16, 2)
    assert tuned.result.details["steps"] == 12 and f"top-1 {100 * tuned.result.value:.1f} %" in repr(tuned)
    assert "recipe finetune_small" in tuned._repr_html_()
    assert {path.name for path in (tmp_path / "run" / "shards").iterdir()} == {"train", "test"}

    again = seer_tf.finetune(backbone, tmp_path / "run", **arguments, settings=_SHORT, on_log=logged.__setitem__)
    assert list(logged) == [6, 12] and again.result == tuned.result
    (line,) = (tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()
    assert json.loads(line)["value"] == tuned.result.value
    network = seer_tf.load(tmp_path / "run").network
    assert network.class_names == ("blue", "red") and network.classifier is not None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": "finetune_smal"}, "did you mean 'finetune_small'"),
        ({"model": "nowhere"}, "there is no file or directory .*nowhere"),
        ({"model": ""}, "`model` is missing"),
        ({"test": "nowhere/else"}, "no such file or directory"),
        ({"train": "builtin:test"}, "`train` and `test` are both builtin:test"),
        ({"train": 7}, "`data` is a int"),
        ({"settings": {"data.subset_list": "nothing.txt"}}, "nothing.txt` is not a file"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_leaves_nothing(
    backbone: pathlib.Path, tmp_path: pathlib.Path, changes: dict[str, Any], sentence: str
) -> None:
    arguments: dict[str, Any] = {
        "model": backbone,
        "train": _colours(4, 0),
        "test": "builtin:test",
        "recipe": "finetune_small",
        **changes,
    }
    with pytest.raises(InputError, match=sentence):
        seer_tf.finetune(run_dir=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()

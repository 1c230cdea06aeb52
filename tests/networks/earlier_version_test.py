"""Files from an earlier version still open, although the modules of their classes have moved."""

import pathlib
import shutil

import keras
import numpy as np

import seer_tf  # noqa: F401  tells Keras the classes
from seer_tf.models import Backbone
from seer_tf.training.run_directory import RunDirectory
from tests.places import GOLDEN

_EARLIER = GOLDEN / "before_0_2"


def test_a_keras_file_opens_and_computes() -> None:
    backbone = keras.saving.load_model(_EARLIER / "backbone.keras")
    assert isinstance(backbone, Backbone) and backbone.count_params() == 3188
    maps = np.asarray(backbone(np.ones([1, 8, 8, 3], np.float32)))
    assert np.all(np.isfinite(maps)) and maps.std() > 0


def test_the_config_of_a_run_is_read_as_pretraining_with_swav(tmp_path: pathlib.Path) -> None:
    shutil.copy(_EARLIER / "config.json", tmp_path)
    directory = RunDirectory(tmp_path)
    config = directory.read_config()
    assert (directory.kind(), config.method) == ("pretraining", "swav")
    assert (config.recipe, config.head.num_prototypes, config.crops.sizes_px) == ("debug_tiny", 8, (32, 16))

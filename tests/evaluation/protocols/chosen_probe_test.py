"""The chosen classifier of a grid: the test set has no influence, and a recipe with one setting holds nothing out."""

import dataclasses

import numpy as np
import pytest

from seer_tf.data.images.transform import Transform
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import FeatureSet, Origin
from seer_tf.evaluation.features.labelled import LabelledFeatures
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.evaluation.protocols.chosen_probe import chosen_probe
from seer_tf.evaluation.protocols.probe_grid import Batches, ProbeRecipe, shuffled_batches

_GRID = ProbeRecipe((1e-5, 0.3), (0.0, 5e-4), 4, (2, 3), augmentation="none", held_out_fraction=0.25, batch_size=64)
_ONE = dataclasses.replace(_GRID, learning_rates=(0.3,), weight_decays=(0.0,), held_out_fraction=0.0)
_POOLINGS = {"noise": Pooling(1, 1, 6), "avgpool": Pooling(1, 1, 6)}


def _part(num_images: int, seed: int) -> FeatureSet:
    """Returns images in three classes. One stage separates the classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, num_images)
    rows = {stage: generator.normal(size=[num_images, 6]).astype(np.float32) for stage in _POOLINGS}
    rows["avgpool"] += 2.0 * np.eye(6, dtype=np.float32)[labels]
    origin = Origin("RUN", "digest", Transform(32), _POOLINGS, "folder:X")
    ids = [str(number) for number in range(num_images)]
    return FeatureSet(
        origin, rows, ids, np.arange(num_images, dtype=np.uint64), ("a", "b", "c"), [(y,) for y in labels]
    )


@pytest.fixture
def features() -> LabelledFeatures:
    """400 training images and 200 test images."""
    train, test = _part(400, 0), _part(200, 1)
    train_labels, test_labels = (np.array(part.classes)[:, 0] for part in (train, test))
    return LabelledFeatures(train, train_labels, test, test_labels, ("a", "b", "c"))


def test_the_best_classifier_on_the_held_out_slice_is_tested(features):
    """The probe takes the stage that separates the classes, and the rate that learns.

    The curve ends at the held-out accuracy.
    """
    probe = chosen_probe(features, _GRID, seed=0)
    assert probe.stage == "avgpool" and probe.setting[0] == 0.3 and probe.num_fitted == 300
    assert probe.top1 == probe.correct.mean() > 0.75
    assert probe.curve[-1] == probe.held_out_top1["avgpool"].max() and len(probe.curve) == 4
    assert not probe.test_top1


def test_the_test_labels_do_not_change_the_choice(features):
    """The choice is the same with wrong test labels."""
    wrong = dataclasses.replace(features, test_labels=(features.test_labels + 1) % 3)
    one, other = (chosen_probe(data, _GRID, seed=0) for data in (features, wrong))
    assert (one.stage, one.setting, one.curve) == (other.stage, other.setting, other.curve)
    assert other.top1 < 0.2


def test_a_recipe_of_one_setting_holds_nothing_out_and_tests_every_stage(features):
    """VISSL works in this way. The batches may be augmented."""
    asked = []

    def augmented(numbers: np.ndarray) -> Batches:
        asked.append(numbers)
        return shuffled_batches(features.train.rows, features.train_labels, 64, seed=0)

    probe = chosen_probe(features, _ONE, seed=0, augmented=augmented)
    assert [numbers.tolist() for numbers in asked] == [list(range(400))]
    assert set(probe.test_top1) == {"noise", "avgpool"}
    assert probe.test_top1["avgpool"] == probe.top1 > probe.test_top1["noise"] and not probe.curve


def test_too_little_to_choose_on_is_refused(features):
    """A single image of each class leaves no image to hold out."""
    few = np.concatenate([np.flatnonzero(features.train_labels == label)[:1] for label in range(3)])
    with pytest.raises(InputError, match="no class has enough training images"):
        chosen_probe(dataclasses.replace(features, train_labels=features.train_labels[few]), _GRID, seed=0)
    with pytest.raises(InputError, match="at least two classes"):
        chosen_probe(dataclasses.replace(features, class_names=("a",)), _GRID, seed=0)

"""The classifier that fine-tuning trains: its outputs and its `.keras` file."""

import keras
import numpy as np
import pytest

from seer_tf.errors import InputError
from seer_tf.models import RegNetY
from seer_tf.models.backbones.regnet.design import RegNetDesign
from seer_tf.models.tasks.classifier import ImageClassifier

_NAMES = ("cat", "dog", "ünknown")
_MEAN, _STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def _classifier(class_names: tuple[str, ...] = _NAMES) -> ImageClassifier:
    backbone = RegNetY(design=RegNetDesign(depth=1, w_0=16, w_a=8.0, w_m=2.0, group_width=8))
    return ImageClassifier(backbone, keras.layers.Dense(3), _MEAN, _STD, class_names, transform={"size_px": 32})


def test_logits_are_a_linear_layer_on_pooled_features():
    """The features come from normalised images."""
    model = _classifier()
    images = np.random.default_rng(0).integers(0, 256, [2, 32, 40, 3], np.uint8)
    normalised = ((images / 255.0 - _MEAN) / _STD).astype(np.float32)
    features = model.backbone(normalised, training=False).numpy().mean(axis=(1, 2))
    kernel, bias = (variable.value.numpy() for variable in model.classifier.variables)
    np.testing.assert_allclose(model(images, training=False), features @ kernel + bias, atol=1e-5)


def test_a_classifier_is_equal_after_saving_and_loading(tmp_path):
    """The file keeps weights, names and transform."""
    model = _classifier()
    model.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    images = np.random.default_rng(0).integers(0, 256, [2, 32, 32, 3], np.uint8)
    np.testing.assert_array_equal(loaded(images), model(images))
    assert (loaded.class_names, loaded.mean, loaded.std) == (_NAMES, _MEAN, _STD)
    assert loaded.transform == {"size_px": 32}


def test_keras_can_fit_a_classifier():
    """Keras's own training loop changes backbone and classifier."""
    model = _classifier()
    before = [variable.value.numpy() for variable in model.trainable_variables]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).integers(0, 256, [4, 32, 32, 3], np.uint8)
    model.fit(images, np.array([0, 1, 2, 0]), batch_size=4, verbose=0)
    moved = [
        np.any(variable.value.numpy() != old) for variable, old in zip(model.trainable_variables, before, strict=True)
    ]
    assert all(moved)


def test_the_number_of_names_must_equal_the_number_of_logits():
    """An error of one sentence names both numbers if they differ."""
    with pytest.raises(InputError, match="3 classes, but there are 2 class names"):
        _classifier(("cat", "dog"))

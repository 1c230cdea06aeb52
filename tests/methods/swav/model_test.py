from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf import models
from seer_tf.config import BackboneConfig, Config, CropsConfig, HeadConfig, RunConfig
from seer_tf.methods.swav.model import build_swav_model, flatten_crops, unflatten

NUM_IMAGES = 3


def _config(precision: str = "float32") -> Config:
    return Config(
        backbone=BackboneConfig("90MF", stem_stride=1),
        head=HeadConfig(hidden_dims=(16,), embedding_dim=8, num_prototypes=10),
        crops=CropsConfig(mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3)),
        run=RunConfig(precision=precision),
    )


def _crops(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    large = random.integers(256, size=(NUM_IMAGES, 2, 32, 32, 3), dtype=np.uint8)
    return large, random.integers(256, size=(NUM_IMAGES, 4, 16, 16, 3), dtype=np.uint8)


def test_rows_are_crop_major_and_can_be_unflattened() -> None:
    crops = tf.constant(_crops()[1])
    rows = flatten_crops(crops)
    for crop in range(4):
        for image in range(NUM_IMAGES):
            np.testing.assert_array_equal(rows[crop * NUM_IMAGES + image], crops[image, crop])
    np.testing.assert_array_equal(unflatten(rows, 4), tf.transpose(crops, [1, 0, 2, 3, 4]))


def test_rows_can_be_unflattened_if_the_batch_size_is_unknown() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 2, 4, 4, 3], tf.uint8)])
    def there_and_back(crops: tf.Tensor) -> tf.Tensor:
        return unflatten(flatten_crops(crops), 2)

    crops = _crops()[0][..., :4, :4, :]
    np.testing.assert_array_equal(there_and_back(crops), crops.transpose(1, 0, 2, 3, 4))


def test_every_crop_gets_its_own_row() -> None:
    model = build_swav_model(_config())
    large, small = _crops()
    embeddings, scores = model((large, small))
    assert embeddings.shape == (6 * NUM_IMAGES, 8) and scores.shape == (6 * NUM_IMAGES, 10)
    by_crop = unflatten(embeddings, 6)  # [V, B, D]
    pooled = models.pooled(model.backbone)
    for crop, images in ((0, large[:, 0]), (1, large[:, 1]), (2, small[:, 0]), (5, small[:, 3])):
        normalized = (images / 255.0 - [0.4, 0.5, 0.6]) / [0.1, 0.2, 0.3]
        expected, _ = model.head(pooled(normalized.astype(np.float32)))
        np.testing.assert_allclose(by_crop[crop], expected, atol=1e-5)


def test_the_backbone_runs_once_for_each_resolution_and_the_head_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_swav_model(_config())
    seen: list[tuple[int, ...]] = []

    def note_shapes(part: type[keras.layers.Layer]) -> None:
        call = part.call

        def noted_call(self: keras.layers.Layer, x: tf.Tensor, *args: Any, **kwargs: Any) -> Any:
            seen.append(tuple(x.shape))
            return call(self, x, *args, **kwargs)

        monkeypatch.setattr(part, "call", noted_call)

    note_shapes(models.RegNetY)
    note_shapes(models.SwavHead)
    model(_crops(), training=True)
    assert seen == [(2 * NUM_IMAGES, 32, 32, 3), (4 * NUM_IMAGES, 16, 16, 3), (6 * NUM_IMAGES, 256)]


def test_training_reaches_every_variable() -> None:
    model = build_swav_model(_config())
    before = {variable.path: variable.numpy() for variable in model.non_trainable_variables}
    with tf.GradientTape() as tape:
        _, scores = model(_crops(), training=True)
        loss = tf.reduce_sum(tf.square(scores))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    assert all(gradient is not None for gradient in gradients)
    for variable in model.non_trainable_variables:
        assert np.any(variable.numpy() != before[variable.path]), variable.path


def test_paths_of_variables_are_unique_and_tracked() -> None:
    first, second = ([v.path for v in build_swav_model(_config()).variables] for _ in range(2))
    assert first == second and len(set(first)) == len(first)
    assert {"stem/conv/kernel", "stage4_block1/c/kernel", "head/prototypes"} <= set(first)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_precision_of_the_run_reaches_backbone_and_head(precision: str) -> None:
    model = build_swav_model(_config(precision))
    compute = keras.dtype_policies.get(precision).compute_dtype
    assert model.backbone.compute_dtype == model.head.compute_dtype == compute
    expected = "float64" if precision == "float64" else "float32"
    assert [output.dtype for output in model(_crops(), training=True)] == [expected, expected]
    assert {variable.dtype for variable in model.variables} == {expected}


# NumPy 2 deprecates the way in which Keras 3.15 converts a variable to an array.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_saved_model_loads_with_its_weights(tmp_path: Path) -> None:
    model = build_swav_model(_config())
    crops = _crops()
    model(crops, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(loaded(crops), model(crops), strict=True):
        np.testing.assert_array_equal(ours, theirs)

"""The demo's network learns the classes of the built-in set from labels, so the classes are visible to the network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import CropsConfig
from seer_tf.data.augment.multicrop import multicrop
from seer_tf.data.images.decode import decode_image
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.models import RegNetY, pooled

_SIDE_PX = 40
_STEPS = 2600
_BATCH = 64
_CROP = CropsConfig(
    num=(1,),
    sizes_px=(_SIDE_PX,),
    min_area_fractions=(0.4,),
    max_area_fractions=(1.0,),
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    hue=0.04,
    blur_probability=0.0,
)


def training_batches(source: Source) -> tf.data.Dataset:
    images = np.stack([decode_image(tf.constant(source.read(index))) for index in range(source.num_images)])

    def crop(image: tf.Tensor, label: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return multicrop(image, _CROP, seed)[0][0], label

    shuffled = tf.data.Dataset.from_tensor_slices((images, source.labels)).shuffle(source.num_images, seed=0).repeat()
    seeded = tf.data.Dataset.zip(shuffled, tf.data.Dataset.random(seed=0).batch(2)).map(
        lambda labelled, seed: crop(labelled[0], labelled[1], seed), num_parallel_calls=tf.data.AUTOTUNE
    )
    return seeded.batch(_BATCH).prefetch(tf.data.AUTOTUNE)


@pytest.mark.slow
def test_a_supervised_run_of_the_same_network_reaches_95_percent() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3), dtype="uint8")
    features = pooled(RegNetY("90MF", stem_stride=1))(keras.layers.Rescaling(1 / 64, offset=-2)(inputs))
    network = keras.Model(inputs, keras.layers.Dense(len(open_source("builtin").class_names or ()))(features))
    rate = keras.optimizers.schedules.CosineDecay(4e-3, _STEPS)
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    batches = training_batches(open_source("builtin"))
    network.fit(batches, epochs=1, steps_per_epoch=_STEPS, shuffle=False, verbose=2)
    test = open_source("builtin:test")
    predicted = [
        np.argmax(network.predict_on_batch(images), axis=1)
        for images in images_dataset(test, Transform(_SIDE_PX), batch_size=200)
    ]
    accuracy = np.mean(np.concatenate(predicted) == test.labels)
    print(f"supervised accuracy on the test images: {accuracy:.3f}")
    assert accuracy >= 0.95

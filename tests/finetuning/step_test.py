"""The step of fine-tuning: its loss, its equality on replicas and in micro-batches, and its effect on variables."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.finetuning.recipes import recipe
from seer_tf.finetuning.state import ClassifierState, build_classifier
from seer_tf.finetuning.step import classifier_step, cross_entropy, smoothed
from seer_tf.models import RegNetY, SwavHead
from tests.replicas import two_replicas
from tests.small_networks import stages_design

_NAMES = ("a", "b", "c")


def small(*assignments: str) -> FinetuneConfig:
    settings = ("run.precision=float64", "run.num_steps=4", "optimizer.layer_decay=0.7", *assignments)
    return configs.validate(configs.override(recipe("finetune_small"), settings))


def backbone() -> RegNetY:
    return RegNetY(design=stages_design(2), stem_width=8, stem_stride=1)


def head(features: int = 32) -> SwavHead:
    made = SwavHead((12,), 4, 5)
    made.build((None, features))
    return made


def batch(num_images: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (num_images, 8, 8, 3)).astype(np.uint8), np.arange(num_images) % len(_NAMES)


def stepped(config: FinetuneConfig, strategy: tf.distribute.Strategy, images: np.ndarray | None = None) -> Any:
    """Returns all variables after two steps, by name, and the metrics of the second step."""
    pixels, labels = batch()
    pixels = pixels if images is None else images
    keras.utils.set_random_seed(0)
    with strategy.scope():
        synchronized = strategy.num_replicas_in_sync > 1
        state = ClassifierState(config, build_classifier(config, backbone(), head(), _NAMES, synchronized=synchronized))
    parts = [np.split(part, strategy.num_replicas_in_sync) for part in (pixels, labels)]
    shared = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(tf.constant(part[context.replica_id_in_sync_group]) for part in parts)
    )
    step = tf.function(lambda both: strategy.run(classifier_step, args=(state, both)), autograph=False)
    for _ in range(2):
        metrics = step(shared)
    found = {name: strategy.experimental_local_results(value)[0].numpy() for name, value in metrics.items()}
    return {name: variable.numpy() for name, variable in state.named_variables().items()}, found


@pytest.mark.parametrize("decays_batch_norm", [False, True])
def test_weight_decay_includes_batch_norm_if_the_config_says_so(decays_batch_norm: bool) -> None:
    config = small("optimizer.weight_decay=0.5", f"optimizer.decay_batch_norm={decays_batch_norm}")
    state = ClassifierState(config, build_classifier(config, backbone(), None, _NAMES))
    of_norms = {
        decay
        for weight, decay in zip(state.model.trainable_variables, state.optimizer._decays, strict=True)
        if weight.path.endswith(("gamma", "beta"))
    }
    assert of_norms == {0.5 if decays_batch_norm else 0.0}


def test_cross_entropy_of_smoothed_labels_equals_numpys() -> None:
    logits, labels = np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    targets = np.full((5, 3), 0.1 / 3)
    targets[np.arange(5), labels] += 0.9
    expected = -np.mean(np.sum(targets * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))), axis=1))
    found = cross_entropy(tf.constant(logits), smoothed(tf.constant(labels), 3, 0.1, tf.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.multi_replica
def test_two_replicas_equal_one() -> None:
    config = small("mixing.label_smoothing=0.1", "classifier.keep_first_head_layer=true", "optimizer.weight_decay=0.01")
    expected, metrics = stepped(config, tf.distribute.get_strategy())
    found, their_metrics = stepped(config, two_replicas())
    assert expected.keys() == found.keys() and int(expected["sgd/iterations"]) == 2
    far = {name: np.max(np.abs(found[name] - value)) for name, value in expected.items() if value.dtype == np.float64}
    assert len(far) > 30 and max(far.values()) < 1e-9, far
    np.testing.assert_allclose(their_metrics["loss"], metrics["loss"], rtol=1e-9)
    np.testing.assert_allclose(their_metrics["accuracy/of_training_batches"], metrics["accuracy/of_training_batches"])


def test_micro_batches_add_up_to_the_mean_of_their_gradients() -> None:
    """The velocity after one step is the mean of two gradients, from the even images and from the odd images."""
    config, (images, labels) = small("run.accumulation_steps=2", "optimizer.weight_decay=0"), batch()
    model = build_classifier(config, backbone(), None, _NAMES)
    state = ClassifierState(config, model)
    before = [variable.numpy() for variable in model.non_trainable_variables]
    gradients, moved = [], []
    for part in range(2):
        with tf.GradientTape() as tape:
            logits = model(images[part::2], training=True)
            loss = cross_entropy(logits, smoothed(tf.constant(labels[part::2]), 3, 0.0, tf.float64))
        gradients.append(tape.gradient(loss, model.trainable_variables))
        moved.append([variable.numpy() for variable in model.non_trainable_variables])
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(value)
    classifier_step(state, (tf.constant(images), tf.constant(labels)))
    for velocity, one, other in zip(state.optimizer.velocities, *gradients, strict=True):
        np.testing.assert_allclose(velocity.numpy(), (one + other) / 2, rtol=1e-9, atol=1e-12)
    for variable, one, other in zip(model.non_trainable_variables, *moved, strict=True):
        np.testing.assert_allclose(variable.numpy(), (one + other) / 2, rtol=1e-9)


def test_a_step_with_an_infinite_number_changes_only_the_loss_scale_and_the_counters() -> None:
    config, (images, labels) = small("run.precision=mixed_float16"), batch()
    state = ClassifierState(config, build_classifier(config, backbone(), None, _NAMES))
    before = {name: variable.numpy() for name, variable in state.named_variables().items()}
    pixels = images.astype(np.float32)
    pixels[3, 2, 2, 1] = np.inf
    state.loss_scale.value.assign(before.setdefault("loss_scale/value", np.float32(2.0**15)))
    assert classifier_step(state, (tf.constant(pixels), tf.constant(labels)))["first_bad"] >= 0
    changed = {name for name, variable in state.named_variables().items() if np.any(variable.numpy() != before[name])}
    assert changed == {"loss_scale/value", "skipped_steps/total", "skipped_steps/in_a_row"}


def test_the_classifier_copies_the_network_and_the_first_layer_of_the_head() -> None:
    pretrained, projection = backbone(), head()
    settings = ("run.precision=float32", "classifier.keep_first_head_layer=true")
    model = build_classifier(
        small(*settings, "classifier.activation_checkpointing=block"), pretrained, projection, _NAMES
    )
    values = {variable.path: variable.numpy() for variable in pretrained.variables}
    assert {variable.path for variable in model.backbone.variables} == values.keys()
    for variable in model.backbone.variables:
        np.testing.assert_array_equal(variable.numpy(), values[variable.path])
    first, norm = model.classifier.layers[:2]
    np.testing.assert_array_equal(first.kernel.numpy(), projection.linears[0].kernel.numpy())
    assert first.kernel is not projection.linears[0].kernel and np.all(norm.gamma.numpy() == 1)
    fresh = build_classifier(small(*settings, "classifier.untrained=true"), pretrained, projection, _NAMES)
    kernels = [variable.path for variable in fresh.backbone.trainable_variables if variable.path.endswith("kernel")]
    assert all(
        np.any(variable.numpy() != values[variable.path])
        for variable in fresh.backbone.variables
        if variable.path in kernels
    )
    with pytest.raises(InputError, match="keep_first_head_layer: .* has no projection head"):
        build_classifier(small(*settings), pretrained, None, _NAMES)

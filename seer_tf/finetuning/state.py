"""Everything that a fine-tuning step changes, by stable names: classifier, optimizer, loss scale and counters."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.data.augment.mixing import Mixing
from seer_tf.errors import InputError
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.finetuning.schedules import epoch_schedule
from seer_tf.models import Backbone, SwavHead
from seer_tf.models.backbones.keras_model.network import KerasBackbone
from seer_tf.models.layers import BatchNormalization
from seer_tf.models.tasks.classifier import ImageClassifier
from seer_tf.optimizers.sgd import SGD, layer_factors
from seer_tf.precision import at_least_float32
from seer_tf.training.state import RunState

_BATCH_NORM = ("gamma", "beta")


class ClassifierState(RunState):
    """The variables of a fine-tuning run.

    Attributes:
        config: Run configuration.
        model: Backbone and classifier.
        optimizer: SGD. Its `iterations` counts the updates and drives the schedule.
        mixing: Mixing of images and targets.
    """

    config: FinetuneConfig
    model: ImageClassifier

    def __init__(self, config: FinetuneConfig, model: ImageClassifier) -> None:
        """Makes the optimizer. Call this inside the scope of the strategy that will run the step.

        Args:
            config: Run configuration.
            model: Model to train, made in the same scope.
        """
        self.config = config
        self.mixing = Mixing(config.mixing.mixup_alpha, config.mixing.cutmix_alpha)
        super().__init__(model)
        weights, sgd = model.trainable_variables, config.optimizer
        of_backbone = [weight.path for weight in model.backbone.trainable_variables]
        factors = dict(zip(of_backbone, layer_factors(of_backbone, layer_decay=sgd.layer_decay), strict=True))
        self.optimizer = SGD(
            epoch_schedule(config.schedule, config.run.num_steps, config.data.global_batch_size),
            weights,
            momentum=sgd.momentum,
            nesterov=sgd.nesterov,
            factors=[factors.get(weight.path, sgd.classifier_rate_factor) for weight in weights],
            decays=[
                0.0 if weight.path.endswith(_BATCH_NORM) and not sgd.decay_batch_norm else sgd.weight_decay
                for weight in weights
            ],
        )

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns every variable by its name in a checkpoint."""
        return super().named_variables() | self.optimizer.named_variables()


def build_classifier(
    config: FinetuneConfig,
    backbone: Backbone,
    head: SwavHead | None,
    class_names: Sequence[str],
    *,
    synchronized: bool = False,
) -> ImageClassifier:
    """Returns the initial model of a fine-tuning run: a pretrained backbone with a fresh classifier.

    Args:
        config: Run configuration.
        backbone: Pretrained backbone, in any precision.
        head: Projection head from pretraining, or None.
        class_names: Names of the classes, in the order of the labels.
        synchronized: Whether several replicas share their batch norm statistics, in the config's groups.

    Raises:
        InputError: The config keeps the head's first layer, but there is no head with a hidden layer, or it decays the
            rate of a network whose blocks are unknown.
    """
    if config.optimizer.layer_decay != 1 and isinstance(backbone, KerasBackbone):
        raise InputError(
            f"optimizer.layer_decay={config.optimizer.layer_decay} needs blocks, and those of {backbone.variant} are "
            "unknown; set it to 1"
        )
    keras.utils.set_random_seed(config.run.seed)
    how: dict[str, Any] = {
        "synchronized": synchronized,
        "group_replicas": config.run.batch_norm_group_replicas,
        "dtype": config.run.precision,
    }
    checkpointing = config.classifier.activation_checkpointing
    licence = "" if config.classifier.untrained else backbone.licence
    own = backbone.remade(**how, activation_checkpointing=checkpointing, licence=licence)
    layers: list[keras.layers.Layer] = []
    if config.classifier.keep_first_head_layer:
        layers = [_first_layer(config, head), BatchNormalization(name="head_bn1", **how), keras.layers.ReLU()]
    policy = at_least_float32(config.run.precision)
    # Normal with a deviation of 0.01, and zero bias: the usual start of a classifier on pretrained features.
    small = keras.initializers.RandomNormal(stddev=0.01)
    logits = keras.layers.Dense(len(class_names), kernel_initializer=small, name="logits", dtype=policy)
    classifier = keras.Sequential([*layers, logits], name="classifier")
    transform = dataclasses.asdict(config.transform)
    mean, std = config.crops.mean, config.crops.std
    model = ImageClassifier(own, classifier, mean, std, class_names, transform=transform, dtype=config.run.precision)
    if not config.classifier.untrained:
        _copy(backbone.variables, own.variables)
        if layers and head is not None:
            layers[0].set_weights(head.linears[0].get_weights())
    return model


def _first_layer(config: FinetuneConfig, head: SwavHead | None) -> keras.layers.Dense:
    """Returns a fresh layer like the first layer of the head."""
    if head is None or not head.hidden_dims:
        raise InputError(
            f"classifier.keep_first_head_layer: {config.run.init_from} has no projection head with a hidden layer; "
            "give the run or the pretrained checkpoint, or set `classifier.keep_first_head_layer=false`"
        )
    return keras.layers.Dense(head.hidden_dims[0], name="head_linear1", dtype=config.run.precision)


def _copy(variables: Sequence[keras.Variable], into: Sequence[keras.Variable]) -> None:
    """Copies values between the variables of two backbones. Their order may depend on activation checkpointing."""
    values = {variable.path: variable for variable in variables}
    for variable in into:
        variable.assign(values[variable.path])

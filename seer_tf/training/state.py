"""The state that every run has: model, loss scale and counters, under stable names."""

import keras
import tensorflow as tf

from seer_tf.config import BaseConfig
from seer_tf.distributed import collectives
from seer_tf.optimizers.loss_scale import LossScale
from seer_tf.training.skipped_steps import SkippedSteps


class RunState:
    """The variables that every run has.

    Attributes:
        config: Run configuration.
        model: Model that is trained.
        loss_scale: Loss scale; dynamic if gradients are float16 in the network or in the reduction, otherwise 1.
        skipped: Counters of skipped steps.
        step: Number of consumed batches, an int64 scalar variable. Skipped steps count, so this is the data position.
    """

    config: BaseConfig

    def __init__(self, model: keras.Model) -> None:
        """Creates the variables. Call it inside the scope of the strategy, after `config` is set.

        Args:
            model: Model that is trained.
        """
        self.model = model
        run = self.config.run
        self.loss_scale = LossScale(dynamic="float16" in (run.precision.removeprefix("mixed_"), run.reduce_precision))
        self.skipped = SkippedSteps()
        self.step = collectives.shared_variable(0, tf.int64, "step")

    @property
    def networks(self) -> tuple[keras.Model, ...]:
        """Models that see the images of a step; the model that is trained comes first."""
        return (self.model,)

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns all variables by their names in a checkpoint."""
        named = model_variables(self.model) | {"step": self.step}
        named |= {"loss_scale/value": self.loss_scale.value, "loss_scale/good_steps": self.loss_scale.good_steps}
        return named | {"skipped_steps/total": self.skipped.total, "skipped_steps/in_a_row": self.skipped.in_a_row}


def model_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns the weights and moving statistics of a model by their names in a checkpoint."""
    return {f"model/{variable.path}": variable.value for variable in model.variables}


def in_replicated_scope() -> bool:
    """Whether the strategy in scope has several replicas, so that batch norm must be synchronised."""
    return tf.distribute.get_strategy().num_replicas_in_sync > 1

"""What every kind of run has: the model, the loss scale and the counters, by stable names."""

import keras
import tensorflow as tf

from seer_tf.config import BaseConfig
from seer_tf.distributed import collectives
from seer_tf.optimizers.loss_scale import LossScale
from seer_tf.training.skipped_steps import SkippedSteps


class RunState:
    """What every kind of run has.

    Attributes:
        config: the run's config.
        model: what is trained.
        loss_scale: for gradients that are float16 in the network or on the wire; one otherwise.
        skipped: counters of the steps that were left out.
        step: int64 scalar, the number of batches consumed (also those whose update was skipped): the data position.
    """

    config: BaseConfig

    def __init__(self, model: keras.Model) -> None:
        """Makes the variables; call it inside the scope of the strategy that will run the step, with a config set.

        Args:
            model: what is trained.
        """
        self.model = model
        run = self.config.run
        self.loss_scale = LossScale(dynamic="float16" in (run.precision.removeprefix("mixed_"), run.reduce_precision))
        self.skipped = SkippedSteps()
        self.step = collectives.shared_variable(0, tf.int64, "step")

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns every variable under the name that it has in a checkpoint."""
        named = model_variables(self.model) | {"step": self.step}
        named |= {"loss_scale/value": self.loss_scale.value, "loss_scale/good_steps": self.loss_scale.good_steps}
        return named | {"skipped_steps/total": self.skipped.total, "skipped_steps/in_a_row": self.skipped.in_a_row}


def model_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns the variables of a model, weights and moving statistics, by path."""
    return {f"model/{variable.path}": variable.value for variable in model.variables}


def in_replicated_scope() -> bool:
    """Whether the strategy in scope has several replicas, over which batch norm takes its statistics."""
    return tf.distribute.get_strategy().num_replicas_in_sync > 1

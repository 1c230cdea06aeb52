"""Everything that a training step changes: model, optimizer and counters, by stable names."""

import keras
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.models.swav_model import SwavModel, build_swav_model
from seer_tf.optimizers.lars import LARS
from seer_tf.optimizers.schedules import learning_rate_schedule


class TrainState:
    """The variables of a run, built from its config and seed.

    Attributes:
        config: the run's config.
        model: backbone, head and prototypes.
        optimizer: LARS; its `iterations` counts the updates that were made and drives the schedule.
        step: int64 scalar, the number of batches consumed (also those whose update was skipped): the data position.
    """

    def __init__(self, config: Config, model: SwavModel | None = None) -> None:
        """Builds model and optimizer; call it inside the scope of the strategy that will run the step.

        Args:
            config: of the run.
            model: a model to train instead of the config's with the initial weights of its seed.
        """
        self.config = config
        synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1
        self.model = model if model is not None else initial_model(config, synchronized=synchronized)
        self.optimizer = LARS(
            learning_rate_schedule(config.schedule, config.run.num_steps),
            momentum=config.optimizer.momentum,
            weight_decay=config.optimizer.weight_decay,
            trust_coefficient=config.optimizer.trust_coefficient,
            epsilon=config.optimizer.epsilon,
        )
        self.optimizer.build(self.model.trainable_variables)
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns every variable under the name that it has in a checkpoint."""
        named = model_variables(self.model)
        for variable in self.model.trainable_variables:
            named[f"lars/velocity/{variable.path}"] = self.optimizer.velocity(variable).value
        return named | {"lars/iterations": self.optimizer.iterations.value, "step": self.step}


def initial_model(config: Config, *, synchronized: bool = False) -> SwavModel:
    """Returns the model of a config with the initial weights that its seed determines.

    Args:
        config: of the run.
        synchronized: whether batch norm takes its statistics over all replicas.
    """
    keras.utils.set_random_seed(config.run.seed)
    return build_swav_model(config, synchronized=synchronized)


def model_variables(model: SwavModel) -> dict[str, tf.Variable]:
    """Returns the variables of a model, weights and moving statistics, by path."""
    return {f"model/{variable.path}": variable.value for variable in model.variables}

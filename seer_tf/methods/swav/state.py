"""Everything that a training step changes, by stable names: model, optimizer, loss scale, queue and counters."""

import keras
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.methods.swav.model import SwavModel, build_swav_model
from seer_tf.methods.swav.queue import Queue
from seer_tf.optimizers.lars import lars
from seer_tf.optimizers.schedules import learning_rate_schedule
from seer_tf.training.state import RunState, in_replicated_scope


class TrainState(RunState):
    """The variables of a pretraining run, built from its config and seed.

    Attributes:
        config: Run configuration.
        model: Backbone, head and prototypes.
        schedule: Schedule of the learning rate.
        optimizer: LARS. Its `iterations` counts the updates and drives the schedule.
        queue: Queue for small batches; None if the config has none.
    """

    config: Config
    model: SwavModel

    def __init__(self, config: Config, model: SwavModel | None = None) -> None:
        """Builds model and optimizer. Call this inside the scope of the strategy that will run the step.

        Args:
            config: Run configuration.
            model: Model to train; None for a new one from the config and its seed.
        """
        self.config = config
        synchronized = in_replicated_scope()
        super().__init__(model if model is not None else initial_model(config, synchronized=synchronized))
        self.schedule = learning_rate_schedule(config.schedule, config.run.num_steps, config.data.global_batch_size)
        self.optimizer = lars(config.optimizer, self.schedule, self.model.trainable_variables)
        self.queue = _queue(config, self.model) if config.swav.queue_length else None

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns every variable by its name in a checkpoint."""
        named = super().named_variables() | self.optimizer.named_variables() | self.schedule.named_variables()
        if self.queue is not None:
            named |= {"queue/embeddings": self.queue.embeddings, "queue/num_pushed": self.queue.num_pushed}
        return named


def _queue(config: Config, model: SwavModel) -> Queue:
    return Queue(
        config.swav.queue_length,
        num_assigning_crops=config.swav.num_assigning_crops,
        embedding_dim=config.head.embedding_dim,
        start_step=config.swav.queue_start_step,
        dtype=model.head.prototypes.value.dtype,
    )


def initial_model(config: Config, *, synchronized: bool = False) -> SwavModel:
    """Returns the model of a config with initial weights from the config's seed.

    Args:
        config: Run configuration.
        synchronized: Whether all replicas share their batch norm statistics.
    """
    keras.utils.set_random_seed(config.run.seed)
    return build_swav_model(config, synchronized=synchronized)

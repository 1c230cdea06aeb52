"""Everything that a training step of MoCo changes, by stable names."""

from collections.abc import Callable

import tensorflow as tf

from seer_tf.methods.moco.config import MocoConfig
from seer_tf.methods.moco.queue import KeyQueue
from seer_tf.models.projection_model import ProjectionModel, build_projection_model
from seer_tf.optimizers.schedules import learning_rate_schedule
from seer_tf.optimizers.sgd import SGD
from seer_tf.precision import at_least_float32
from seer_tf.training.momentum_encoder import MomentumEncoder
from seer_tf.training.state import RunState, in_replicated_scope


class MocoState(RunState):
    """The variables of a run with MoCo.

    Attributes:
        config: Run configuration.
        model: Query encoder: backbone and projection.
        key_encoder: The same with averaged weights.
        queue: Keys of earlier steps.
        schedule: Schedule of the learning rate.
        optimizer: SGD with the same weight decay for all weights, as in the released code.
    """

    config: MocoConfig
    model: ProjectionModel

    def __init__(self, config: MocoConfig, build: Callable[..., ProjectionModel] = build_projection_model) -> None:
        """Builds networks, queue and optimizer. Call this inside the scope of the strategy that will run the step.

        Args:
            config: Run configuration.
            build: Returns a network; it takes the arguments of `build_projection_model`.
        """
        self.config = config
        synchronized = in_replicated_scope()
        super().__init__(build(config, synchronized=synchronized))
        weights = self.model.trainable_variables
        self.key_encoder = MomentumEncoder(build(config, synchronized=synchronized), weights)
        dtype = tf.as_dtype(at_least_float32(config.run.precision))
        self.queue = KeyQueue(config.moco.queue_length, config.head.embedding_dim, seed=config.run.seed, dtype=dtype)
        self.schedule = learning_rate_schedule(config.schedule, config.run.num_steps, config.data.global_batch_size)
        self.optimizer = SGD(
            self.schedule,
            weights,
            momentum=config.optimizer.momentum,
            nesterov=False,
            factors=[1.0] * len(weights),
            decays=[config.optimizer.weight_decay] * len(weights),
        )

    @property
    def networks(self) -> tuple[ProjectionModel, ...]:
        """Query and key encoder, which both see the images of a step."""
        return self.model, self.key_encoder.model

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns every variable by its name in a checkpoint."""
        named = super().named_variables() | self.key_encoder.named_variables() | self.optimizer.named_variables()
        named |= {"queue/keys": self.queue.keys}
        return named | self.schedule.named_variables()

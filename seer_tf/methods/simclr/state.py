"""Everything that a training step of SimCLR changes, by stable names."""

from collections.abc import Callable

import tensorflow as tf

from seer_tf.methods.simclr.config import SimclrConfig
from seer_tf.models.projection_model import ProjectionModel, build_projection_model
from seer_tf.optimizers.lars import NORM_AND_BIAS, lars
from seer_tf.optimizers.schedules import learning_rate_schedule
from seer_tf.training.state import RunState, in_replicated_scope


class SimclrState(RunState):
    """The variables of a run with SimCLR.

    Attributes:
        config: Run configuration.
        model: Backbone and projection.
        schedule: Schedule of the learning rate.
        optimizer: LARS; batch norm and biases take the plain step without decay, as in the released code.
    """

    config: SimclrConfig
    model: ProjectionModel

    def __init__(self, config: SimclrConfig, build: Callable[..., ProjectionModel] = build_projection_model) -> None:
        """Builds model and optimizer. Call this inside the scope of the strategy that will run the step.

        Args:
            config: Run configuration.
            build: Returns the network; it takes the arguments of `build_projection_model`.
        """
        self.config = config
        super().__init__(build(config, synchronized=in_replicated_scope()))
        self.schedule = learning_rate_schedule(config.schedule, config.run.num_steps, config.data.global_batch_size)
        self.optimizer = lars(config.optimizer, self.schedule, self.model.trainable_variables, exclude=NORM_AND_BIAS)

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns every variable by its name in a checkpoint."""
        return super().named_variables() | self.optimizer.named_variables() | self.schedule.named_variables()

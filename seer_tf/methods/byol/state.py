"""Everything that a training step of BYOL changes, by stable names."""

from collections.abc import Callable

import tensorflow as tf

from seer_tf.methods.byol.config import ByolConfig
from seer_tf.models.projection_model import ProjectionModel, build_projection_model
from seer_tf.optimizers.lars import NORM_AND_BIAS, lars
from seer_tf.optimizers.schedules import learning_rate_schedule
from seer_tf.training.momentum_encoder import MomentumEncoder
from seer_tf.training.state import RunState, in_replicated_scope


class ByolState(RunState):
    """The variables of a run with BYOL.

    Attributes:
        config: Run configuration.
        model: Online network: backbone, projection and predictor.
        target: Target network: backbone and projection.
        schedule: Schedule of the learning rate.
        optimizer: LARS; batch norm and biases take the plain step without decay, as in the released code.
    """

    config: ByolConfig
    model: ProjectionModel

    def __init__(self, config: ByolConfig, build: Callable[..., ProjectionModel] = build_projection_model) -> None:
        """Builds networks and optimizer. Call this inside the scope of the strategy that will run the step.

        Args:
            config: Run configuration.
            build: Returns a network; it takes the arguments of `build_projection_model`.
        """
        self.config = config
        synchronized = in_replicated_scope()
        super().__init__(build(config, predictor_dims=config.byol.predictor_dims, synchronized=synchronized))
        self.target = MomentumEncoder(build(config, synchronized=synchronized), self.model.trainable_variables)
        self.schedule = learning_rate_schedule(config.schedule, config.run.num_steps, config.data.global_batch_size)
        self.optimizer = lars(config.optimizer, self.schedule, self.model.trainable_variables, exclude=NORM_AND_BIAS)

    @property
    def networks(self) -> tuple[ProjectionModel, ...]:
        """Online and target network, which both see the images of a step."""
        return self.model, self.target.model

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns every variable by its name in a checkpoint."""
        named = super().named_variables() | self.target.named_variables() | self.optimizer.named_variables()
        return named | self.schedule.named_variables()


def initial_model(config: ByolConfig) -> ProjectionModel:
    """Returns the online network of a config with initial weights from the config's seed."""
    return build_projection_model(config, predictor_dims=config.byol.predictor_dims)

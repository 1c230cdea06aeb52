"""LARS (arXiv 1708.03888) as SEER used it: apex's `LARC` without clipping around PyTorch's SGD.

Neither Keras nor tensorflow-addons has LARS, and Keras's SGD cannot be its base: it keeps the learning rate inside the
velocity, and weight decay outside the gradient. LARS applies to all variables, including batch norm and biases, unless
`exclude` says otherwise. A variable takes the plain step without decay if its norm or its gradient's norm is exactly
zero.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from seer_tf.config import OptimizerConfig
from seer_tf.distributed import collectives
from seer_tf.errors import InputError
from seer_tf.optimizers.packing import Packing
from seer_tf.precision import at_least_float32

#: Variables that SimCLR and BYOL neither scale nor decay: scale and offset of batch norm, and biases.
NORM_AND_BIAS = ("gamma$", "beta$", "bias$")
#: Options of every Keras optimizer that `apply` uses before and after the step itself.
_AROUND_A_STEP = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
#: Bytes of variables that are updated at the same time. The update of a variable needs up to four times its size.
PART_BYTES = 64 * 2**20


class Applied(NamedTuple):
    """Numbers of a step with n gradients, float [n] each.

    Attributes:
        gradient_norms: Norms of the gradients.
        variable_norms: Norms of the variables before the step.
        trust_ratios: Factor on each gradient; one for the plain step.
    """

    gradient_norms: tf.Tensor
    variable_norms: tf.Tensor
    trust_ratios: tf.Tensor


class _Update(NamedTuple):
    """Old and new values of variables and their velocities. The new values have the velocities' precision."""

    value: tf.Tensor
    velocity: tf.Tensor
    new_value: tf.Tensor
    new_velocity: tf.Tensor


@keras.saving.register_keras_serializable(package="seer_tf")
class LARS(keras.optimizers.Optimizer):
    """Layer-wise adaptive rate scaling with momentum.

    ```
    for variable, gradient, velocity:
        if not excluded and norm(variable) > 0 and norm(gradient) > 0:
            rate = trust_coefficient * norm(variable) / (norm(gradient) + weight_decay * norm(variable) + epsilon)
            if clip:
                rate = min(rate / learning_rate, 1)
            gradient = rate * (gradient + weight_decay * variable)
        velocity = momentum * velocity + gradient
        variable = variable - learning_rate * velocity
    ```

    In `Model.fit` and through `apply` it clips, accumulates and averages as every Keras optimizer does, and sums
    gradients over the replicas. A step that has already reduced its gradients calls `apply_reduced`. Velocities are at
    least float32.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        epsilon: float = 1e-8,
        clip: bool = False,
        exclude: Sequence[str] = (),
        name: str = "lars",
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        """Makes the optimizer. `build` makes its variables.

        Args:
            learning_rate: Learning rate for the whole batch, or a schedule of the step.
            momentum: Fraction of the velocity that is kept in a step.
            weight_decay: Factor on the variable that is added to the gradient before scaling.
            trust_coefficient: Length of a step at learning rate 1, relative to the variable's norm.
            epsilon: Number added to the denominator.
            clip: Whether gradients are only scaled down (apex's LARC with clip=True). The released recipes do not clip.
            exclude: Regular expressions. A variable takes the plain step if one of them matches anywhere in its path.
            name: Name of the optimizer.
            clipnorm: Largest norm of the gradient of each variable. Gradients are clipped before the weight decay is
                added.
            clipvalue: Largest absolute value in a gradient.
            global_clipnorm: Largest norm of all gradients together. At most one of the three limits is set.
            use_ema: Whether to keep an exponential moving average of the variables. At its end, `Model.fit` sets the
                variables to the average.
            ema_momentum: Fraction of the average that is kept in a step.
            ema_overwrite_frequency: Steps after which the variables are set to their average; None for never.
            loss_scale_factor: Factor on the loss, by which the gradients are divided.
            gradient_accumulation_steps: Number of `apply` calls whose mean gradient makes one step; None for one.
        """
        super().__init__(
            learning_rate=learning_rate,
            name=name,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
        )
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.trust_coefficient = trust_coefficient
        self.epsilon = epsilon
        self.clip = clip
        self.exclude = tuple(exclude)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates a velocity of zeros for each variable."""
        if self.built:
            return
        super().build(variables)
        self._excluded = [any(re.search(pattern, v.path) for pattern in self.exclude) for v in variables]
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def add_variable_from_reference(
        self, reference_variable: keras.Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> keras.Variable:
        """Creates a slot beside a variable, in the precision of the arithmetic."""
        with self._distribution_strategy.extended.colocate_vars_with(reference_variable.value):
            return self.add_variable(
                shape=reference_variable.shape,
                initializer=initializer,
                dtype=at_least_float32(reference_variable.value.dtype),
                name=f"{reference_variable.path.replace('/', '_')}_{name}",
            )

    def velocity(self, variable: keras.Variable) -> keras.Variable:
        """Returns the velocity of a variable with which the optimizer was built."""
        return self._velocities[self._get_variable_index(variable)]

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns the velocities and the count of iterations by their names in a checkpoint."""
        trained = self._trainable_variables
        velocities = {f"lars/velocity/{variable.path}": self.velocity(variable).value for variable in trained}
        return velocities | {"lars/iterations": self.iterations.value}

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Updates one variable and its velocity. The base class calls this with the gradient summed over replicas."""
        packing, update_of, _ = self._updates([(gradient, variable)], learning_rate, kinds=[None])
        update = update_of(0)
        self.assign(self.velocity(variable), update.new_velocity)
        self.assign(variable, update.new_value)

    def apply_reduced(
        self,
        gradients: Sequence[tf.Tensor | None],
        variables: Sequence[keras.Variable],
        *,
        finite: tf.Tensor,
        frozen: Mapping[str, tf.Tensor] | None = None,
        constraints: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] | None = None,
    ) -> Applied:
        """Takes one step with gradients that are already reduced over the replicas. It reduces nothing.

        It works in a replica's step, in a `tf.function`, and eagerly. All replicas must give the same arguments. There
        is no condition around an update, because `tf.cond` raises an error there under `MirroredStrategy`. Instead, a
        variable that stays is assigned its old value. The options that change gradients or variables around a step
        (`_AROUND_A_STEP`) are for `apply`.

        Args:
            gradients: One gradient for each variable. For None, the variable and its velocity stay.
            variables: Variables with which the optimizer was built. If it is not built yet, it is built now.
            finite: Bool scalar. If false, variables, velocities and the count of iterations stay, bit for bit.
            frozen: Bool scalars by the path of a variable. If true, the variable and its velocity stay.
            constraints: Functions by the path of a variable. Each maps the value after the step to the new value, e.g.
                by a projection onto unit norm.

        Returns:
            The numbers of this step, for the variables whose gradient is not None.

        Raises:
            InputError: `frozen` or `constraints` names a variable that is not among `variables`, or an option is set
                that only `apply` uses.
        """
        for option in _AROUND_A_STEP:
            if getattr(self, option):
                raise InputError(f"`{option}` has no effect on gradients that are reduced already; leave it out")
        self.build(list(variables))
        frozen, constraints = dict(frozen or {}), dict(constraints or {})
        unknown = {*frozen, *constraints} - {v.path for v in variables}
        if unknown:
            raise InputError.unknown("variable", min(unknown), [v.path for v in variables])
        given = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        given_variables = [variable for _, variable in given]
        skip = tf.logical_not(finite)
        # Flags by themselves, not by path: one flag may freeze hundreds of variables.
        keep = {id(flag): tf.logical_or(skip, flag) for flag in frozen.values()} | {id(None): skip}
        kinds = [(v.path if v.path in constraints else "", id(frozen.get(v.path))) for v in given_variables]
        packing, update_of, applied = self._updates(given, self.learning_rate, kinds)

        def settled(number: int) -> Iterator[tuple[tf.Variable, tf.Tensor]]:
            group, update = packing.groups[number], update_of(number)
            path, flag = kinds[group[0]]
            new_value = constraints[path](update.new_value) if path else update.new_value
            value = tf.where(keep[flag], update.value, tf.cast(new_value, update.value.dtype))
            velocity = tf.where(keep[flag], update.velocity, update.new_velocity)
            group_variables = [given_variables[index] for index in group]
            yield from zip([v.value for v in group_variables], packing.separate(group, value), strict=True)
            slots = [self.velocity(v).value for v in group_variables]
            yield from zip(slots, packing.separate(group, velocity), strict=True)

        # One part after the other. Otherwise all new values would be in memory before the first one is assigned.
        assigned: list[tuple[tf.Variable, tf.Tensor]] = []
        sizes_bytes = [tf.float32.size * number for number in packing.num_elements()]
        for part in collectives.buckets(sizes_bytes, PART_BYTES):
            with tf.control_dependencies([tf.convert_to_tensor(variable) for variable, _ in assigned]):
                assigned = [pair for number in part for pair in settled(number)]
            collectives.assign(assigned)
        self._iterations.assign_add(tf.cast(finite, self._iterations.dtype))
        return applied

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "trust_coefficient": self.trust_coefficient,
            "epsilon": self.epsilon,
            "clip": self.clip,
            "exclude": list(self.exclude),
        }

    def _apply_weight_decay(self, variables: Iterable[tf.Variable]) -> None:
        """Does nothing. Because `weight_decay` is set, the base class would decay again, outside the gradient."""

    def _updates(
        self, given: Sequence[tuple[tf.Tensor, tf.Variable]], learning_rate: tf.Tensor, kinds: Sequence[Hashable]
    ) -> tuple[Packing, Callable[[int], _Update], Applied]:
        """Returns groups of variables, a function from a group's index to its update, and numbers. It assigns nothing.

        Args:
            given: Gradients with their variables.
            learning_rate: Learning rate.
            kinds: A key for each variable; only variables with equal keys may be in a group.
        """
        gradients = [gradient for gradient, _ in given]
        # Read once, because each use of a variable in a graph is a separate operation.
        values = [tf.convert_to_tensor(variable) for _, variable in given]
        velocities = [tf.convert_to_tensor(self.velocity(variable).value) for _, variable in given]
        excluded = [self._excluded[self._get_variable_index(variable)] for _, variable in given]
        gradient_norms, value_norms = norms(gradients), norms(values)
        scales, negated_decays = self._scales_and_negated_decays(gradient_norms, value_norms, excluded, learning_rate)
        momentum = {dtype: tf.constant(self.momentum, dtype) for dtype in dict.fromkeys(v.dtype for v in velocities)}
        dtypes = [(g.dtype, value.dtype, v.dtype) for g, value, v in zip(gradients, values, velocities, strict=True)]
        packing = Packing([value.shape for value in values], list(zip(kinds, dtypes, strict=True)))
        factors = list(zip(packing.spread(scales), packing.spread(negated_decays), strict=True))

        def update_of(number: int) -> _Update:
            group = packing.groups[number]
            gradient, value, velocity = (packing.join(group, each) for each in (gradients, values, velocities))
            (scale, negated_decay), dtype = factors[number], velocity.dtype
            precise = tf.cast(value, dtype)
            # A subtraction, because TensorFlow makes one operation of several additions, and orders its inputs by their
            # names in the graph. Then the same step would differ in the last bit from one trace to the next.
            decayed = tf.cast(scale, dtype) * tf.cast(gradient, dtype) - tf.cast(negated_decay, dtype) * precise
            new_velocity = momentum[dtype] * velocity + decayed
            new_value = precise - tf.cast(learning_rate, dtype) * new_velocity
            return _Update(value, velocity, new_value, new_velocity)

        return packing, update_of, Applied(gradient_norms, value_norms, scales)

    def _scales_and_negated_decays(
        self, gradient_norms: tf.Tensor, value_norms: tf.Tensor, excluded: Sequence[bool], learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the factors on gradients, and on values before they are subtracted, [variables] each."""
        # Vectors over the variables, because a dozen scalar operations per variable would be most of the graph.
        rates = self.trust_coefficient * value_norms
        rates /= gradient_norms + self.weight_decay * value_norms + self.epsilon
        if self.clip:
            rates = tf.minimum(rates / tf.cast(learning_rate, rates.dtype), 1)
        plain = tf.constant(excluded) | (value_norms == 0) | (gradient_norms == 0)
        scales = tf.where(plain, tf.ones_like(rates), rates)
        return scales, tf.where(plain, tf.zeros_like(rates), rates * -self.weight_decay)


def lars(
    config: OptimizerConfig,
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    weights: Sequence[keras.Variable],
    *,
    exclude: Sequence[str] = (),
) -> LARS:
    """Returns the optimizer of a config, with the variables for some weights.

    Args:
        config: Optimizer configuration.
        schedule: Schedule of the learning rate.
        weights: Weights to train.
        exclude: As in `LARS`.
    """
    optimizer = LARS(
        schedule,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        trust_coefficient=config.trust_coefficient,
        epsilon=config.epsilon,
        exclude=exclude,
    )
    optimizer.build(weights)
    return optimizer


def norms(tensors: Sequence[tf.Tensor | tf.Variable]) -> tf.Tensor:
    """Returns the Euclidean norm of each of n tensors, [n], at least float32."""
    precise = [tf.cast(tensor, at_least_float32(tensor.dtype)) for tensor in tensors]
    packing = Packing([tensor.shape for tensor in precise], [None] * len(precise))
    return tf.sqrt(2 * packing.in_order(packing.l2_losses(packing.joined(precise))))

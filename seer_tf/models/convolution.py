"""Convolution, also in groups of channels.

TensorFlow has a single operation for a grouped convolution. On a CPU without oneDNN that operation has no gradient, and
it fails once TensorFlow fuses it with a bias, ReLU or batch normalisation. TensorFlow does not use oneDNN if the
processor has no AVX-512, or if TF_ENABLE_ONEDNN_OPTS is 0. One operation per group works everywhere, but is slower
where both forms work.

A function that is traced for this process uses the form that works in this process. A function that is saved for any
machine uses the single operation, in such a way that TensorFlow fuses it only with oneDNN. It holds both forms of the
gradient, and `ChoiceAtLoading` chooses between them where the function is loaded.

Shapes: B images, h x w pixels, C input channels, k x k kernel.
"""

import contextvars
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import tensorflow as tf
from absl import logging

from seer_tf.distributed import gpus

P = ParamSpec("P")
R = TypeVar("R")
_Convolve = Callable[[tf.Tensor, tf.Tensor, int], tf.Tensor]


def convolve(
    inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None, *, strides: int = 1, relu: bool = False
) -> tf.Tensor:
    """Convolves with equal padding on all sides.

    Args:
        inputs: Tensor [B, h, w, C].
        kernel: Tensor [k, k, C / groups, filters].
        bias: Tensor [filters], or None.
        strides: Stride in both directions.
        relu: Whether ReLU follows.

    Returns:
        Tensor [B, ceil(h / strides), ceil(w / strides), filters].
    """
    if kernel.shape[2] == inputs.shape[-1]:
        return finished(_at_once(inputs, kernel, strides), bias, relu=relu)
    return _in_groups.get()(inputs, kernel, bias, strides, relu)


def finished(outputs: tf.Tensor, bias: tf.Tensor | None, *, relu: bool) -> tf.Tensor:
    """Adds the bias if there is one, and applies ReLU if `relu` is set."""
    outputs = outputs if bias is None else tf.nn.bias_add(outputs, bias)
    return tf.nn.relu(outputs) if relu else outputs


def is_on_cpu(inputs: tf.Tensor) -> bool:
    """Returns whether `inputs` will be computed on a CPU."""
    device = tf.DeviceSpec.from_string(tf.identity(inputs).device).device_type
    if device is None:
        device = "GPU" if gpus.are_used() else "CPU"
    return device == "CPU"


def has_grouped_gradient(inputs: tf.Tensor) -> bool:
    """Returns whether the single operation has a gradient for the device and dtype of `inputs` in this process."""
    return not is_on_cpu(inputs) or _has_grouped_gradient_on_cpu(inputs.dtype)


class ChoiceAtLoading(tf.saved_model.experimental.TrackableResource):
    """Decides where a SavedModel is loaded whether the gradient of its grouped convolutions is by single operations.

    The decision is a boolean. TensorFlow initialises it by trying the gradient when it loads the SavedModel, in Python
    or elsewhere. The SavedModel must track this object.
    """

    def __init__(self) -> None:
        """Tries the gradient in this process, because the functions may run here before they are saved."""
        super().__init__()
        self._initialize()
        self._convolve = tf.function(_anywhere, autograph=False)  # stored once in the file for all equal layers

    def _create_resource(self) -> tf.Tensor:
        """Makes the boolean, as `TrackableResource` requires. All models in a process share it."""
        return tf.raw_ops.VarHandleOp(dtype=tf.bool, shape=[], shared_name="seer_tf/has_grouped_gradient")

    def _initialize(self) -> None:
        """Sets the boolean, as `TrackableResource` requires."""
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=_has_grouped_gradient_when_run())

    def _read(self) -> tf.Tensor:
        """Returns whether to use the single operation's gradient, bool []; always true on devices other than CPUs."""
        is_elsewhere = tf.raw_ops.DeviceIndex(device_names=["CPU"]) > 0
        read = functools.partial(tf.raw_ops.ReadVariableOp, resource=self.resource_handle, dtype=tf.bool)
        # Not a logical or: XLA would not know its result at compile time.
        return tf.cond(is_elsewhere, lambda: tf.constant(True), read)

    def applied_to(self, function: Callable[P, R]) -> Callable[P, R]:
        """Returns the function with this choice applied to the gradients of all its grouped convolutions."""

        def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
            return _with(functools.partial(self._convolve, self._read()), function)(*args, **kwargs)

        return chosen


def as_one_operation(function: Callable[P, R]) -> Callable[P, R]:
    """Returns the function with grouped convolutions as single operations, for files that TensorFlow does not run."""
    return _with(_by_one, function)


def _with(in_groups: Callable[..., tf.Tensor], function: Callable[P, R]) -> Callable[P, R]:
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        token = _in_groups.set(in_groups)
        try:
            return function(*args, **kwargs)
        finally:
            _in_groups.reset(token)

    return called


def _at_once(inputs: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    """Convolves with one operation.

    The padding "SAME" is symmetric only at stride 1. The operation's own explicit padding has no gradient for groups on
    the CPU.
    """
    pad = kernel.shape[0] // 2
    if strides > 1 and pad:
        inputs = tf.pad(inputs, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    return tf.nn.conv2d(inputs, kernel, strides=strides, padding="SAME" if strides == 1 else "VALID")


def _group_by_group(inputs: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    num_groups = inputs.shape[-1] // kernel.shape[2]
    parts = zip(tf.split(inputs, num_groups, axis=-1), tf.split(kernel, num_groups, axis=-1), strict=True)
    return tf.concat([_at_once(x, k, strides) for x, k in parts], axis=-1)


def _by_one(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, strides: int, relu: bool) -> tf.Tensor:
    return finished(_at_once(inputs, kernel, strides), bias, relu=relu)


def _for_this_process(
    inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, strides: int, relu: bool
) -> tf.Tensor:
    outputs = (_at_once if has_grouped_gradient(inputs) else _group_by_group)(inputs, kernel, strides)
    return finished(outputs, bias, relu=relu)


_in_groups: contextvars.ContextVar[Callable[..., tf.Tensor]] = contextvars.ContextVar(
    "in_groups", default=_for_this_process
)


def _anywhere(
    at_once: tf.Tensor, inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, strides: int, relu: bool
) -> tf.Tensor:
    """Convolves with one operation. `at_once`, bool [], says at run time whether its gradient is one operation, too.

    The gradient is written by hand, because the gradient of `tf.cond` keeps tensors in a form that XLA cannot compile.
    """

    @tf.custom_gradient
    def convolved(inputs: tf.Tensor, kernel: tf.Tensor, *biases: tf.Tensor) -> Any:
        outputs = _biased_anywhere(_at_once(inputs, kernel, strides), *biases)
        outputs = tf.nn.relu(outputs) if relu else outputs

        def gradients(upstream: tf.Tensor) -> list[tf.Tensor]:
            if relu:
                upstream = tf.raw_ops.ReluGrad(gradients=upstream, features=outputs)

            def by(convolve: _Convolve) -> list[tf.Tensor]:
                return tf.gradients(convolve(inputs, kernel, strides), [inputs, kernel], upstream)

            found = tf.cond(at_once, lambda: by(_at_once), lambda: by(_group_by_group))
            return [*found, *(tf.raw_ops.BiasAddGrad(out_backprop=upstream) for _ in biases)]

        return outputs, gradients

    return convolved(inputs, kernel, *([] if bias is None else [bias]))


def _biased_anywhere(outputs: tf.Tensor, *biases: tf.Tensor) -> tf.Tensor:
    """Adds the bias of a grouped convolution, if there is one, so that it is fused only where that works.

    TensorFlow fuses `BiasAdd` and `FusedBatchNorm` with a convolution in any case, but a sum only if it uses oneDNN
    (`IsBiasSemanticAdd` in tensorflow/core/grappler/optimizers/remapper.cc). Without a bias, batch normalisation may
    follow. `EnsureShape` keeps it apart.
    """
    if biases:
        return outputs + biases[0]
    return tf.ensure_shape(outputs, outputs.shape)


@functools.cache
def _has_grouped_gradient_on_cpu(dtype: tf.DType) -> bool:
    """Tries the gradient once. Whether it exists depends on the dtype, on oneDNN, and on the build of TensorFlow."""
    with tf.init_scope(), tf.device("CPU:0"):
        exists = bool(_has_grouped_gradient_when_run(dtype))
    how = "one operation" if exists else "one operation per group, because the single operation has no gradient here"
    logging.info("Grouped convolutions in %s on the CPU: %s.", dtype.name, how)
    return exists


def _has_grouped_gradient_when_run(dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Returns whether a grouped convolution has a gradient on the CPU, bool [], as an operation of a graph.

    A graph cannot catch errors, but a tf.data pipeline can skip an element that fails.
    """

    def succeeds(_: tf.Tensor) -> tf.Tensor:
        sources = [tf.ones([2, 4, 4, 8], dtype), tf.ones([3, 3, 2, 8], dtype)]
        found = tf.gradients(tf.nn.conv2d(*sources, strides=1, padding="SAME"), sources)
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in found])

    tried = tf.data.Dataset.range(1).map(succeeds).ignore_errors()
    return tried.concatenate(tf.data.Dataset.from_tensors(False)).take(1).get_single_element()

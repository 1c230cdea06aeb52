"""The machine's own limit: the time that given work would take at the best rates of this machine.

Arithmetic has the rate of a large convolution, which oneDNN does in one call. Bytes have the rate of a copy far larger
than the caches. Both rates are measured together with the contestants, because other processes slow all of them down.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_IMAGES, _SIDE, _CHANNELS, _KERNEL = 8, 28, 256, 3
_COPIED_BYTES = 2**27
_CALLS = 2  # the faster call counts, because a measured rate was possible


@dataclasses.dataclass(frozen=True)
class Work:
    """The least work of a call.

    Attributes:
        flops: Floating-point operations; a multiply-add counts as two.
        num_bytes: Bytes read from memory and written to memory.
    """

    flops: float = 0.0
    num_bytes: float = 0.0


class Limits:
    """The rates of this machine, measured at each call."""

    def __init__(self) -> None:
        """Creates the operands and warms up."""
        images = tf.random.stateless_normal([_IMAGES, _SIDE, _SIDE, _CHANNELS], seed=[0, 0])
        kernel = tf.random.stateless_normal([_KERNEL, _KERNEL, _CHANNELS, _CHANNELS], seed=[0, 1])

        @tf.function
        def convolution() -> tf.Tensor:
            return tf.nn.conv2d(images, kernel, 1, "SAME")

        self._convolve: Callable[[], object] = lambda: convolution().numpy().shape
        self._source = np.ones(_COPIED_BYTES, np.uint8)
        self._target = np.zeros_like(self._source)
        self._convolve()

    def flops_per_second(self) -> float:
        """Returns the current rate of a large convolution."""
        return 2 * _IMAGES * _SIDE**2 * (_KERNEL * _CHANNELS) ** 2 / _fastest(self._convolve)

    def bytes_per_second(self) -> float:
        """Returns the current rate of a large copy, in which each byte is read and written."""
        return 2 * _COPIED_BYTES / _fastest(lambda: np.copyto(self._target, self._source))

    def seconds(self, work: Work) -> float:
        """Returns the time for the work at current rates: the longer of arithmetic and bytes, which run in parallel."""
        arithmetic = work.flops / self.flops_per_second() if work.flops else 0.0
        return max(arithmetic, work.num_bytes / self.bytes_per_second() if work.num_bytes else 0.0)


def _fastest(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_CALLS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)

"""The machine's own limit: how long a given work would take at the best rates that this machine shows.

Arithmetic goes at the rate of a large convolution that oneDNN does in one call, bytes at that of a copy far larger than
the caches. Both are measured beside what they are the floor of, since other processes slow them down alike.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_IMAGES, _SIDE, _CHANNELS, _KERNEL = 8, 28, 256, 3
_COPIED_BYTES = 2**27
_CALLS = 2  # of which the faster counts: a rate that was seen was possible


@dataclasses.dataclass(frozen=True)
class Work:
    """What has to be done at least.

    Attributes:
        flops: Floating-point operations, one multiply-add being two.
        num_bytes: Read from memory and written to it.
    """

    flops: float = 0.0
    num_bytes: float = 0.0


class Limits:
    """The rates of this machine, measured whenever they are asked for."""

    def __init__(self) -> None:
        """Makes the operands and warms up."""
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
        """Returns the rate of a large convolution, now."""
        return 2 * _IMAGES * _SIDE**2 * (_KERNEL * _CHANNELS) ** 2 / _fastest(self._convolve)

    def bytes_per_second(self) -> float:
        """Returns the rate of a large copy, now; each byte is read and written."""
        return 2 * _COPIED_BYTES / _fastest(lambda: np.copyto(self._target, self._source))

    def seconds(self, work: Work) -> float:
        """Returns what the work would take, now: arithmetic or bytes, whichever is longer, the other beside it."""
        arithmetic = work.flops / self.flops_per_second() if work.flops else 0.0
        return max(arithmetic, work.num_bytes / self.bytes_per_second() if work.num_bytes else 0.0)


def _fastest(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_CALLS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)

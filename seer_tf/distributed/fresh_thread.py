"""Makes Keras models under names that do not depend on the models that the process has made before.

Keras counts the layers of a thread: the first unnamed convolution is "conv2d", the next one "conv2d_1". A checkpoint
knows a variable by these names. So a model whose layers have no names of their own is made in a thread of its own.
"""

import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import tensorflow as tf

T = TypeVar("T")


def in_fresh_thread(make: Callable[[], T], *, dtype: Any = "float32", replicated: bool = False) -> T:
    """Returns the result of a function that runs in a new thread, where Keras has not named any layer.

    Args:
        make: Function that makes a model.
        dtype: Dtype policy of layers that name none.
        replicated: Whether the variables belong to the strategy in scope.
    """
    strategy = tf.distribute.get_strategy()

    def made() -> T:
        keras.config.set_dtype_policy(dtype)  # of this thread only
        with strategy.scope() if replicated else contextlib.nullcontext():
            return make()

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(made).result()

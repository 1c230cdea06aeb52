"""The linear layers of the heads, with PyTorch's default initialisation."""

from typing import Any

import keras


def linear(width_in: int, width_out: int, *, name: str, dtype: Any) -> keras.layers.Dense:
    """Returns a built linear layer whose weights and biases are drawn from U(±1 / sqrt(width_in)).

    Args:
        width_in: Number of channels of the input.
        width_out: Number of channels of the output.
        name: Name of the layer.
        dtype: Dtype or dtype policy of the layer.
    """
    limit = width_in**-0.5
    layer = keras.layers.Dense(
        width_out,
        # Variance 1 / (3 width_in), uniform, is U(±1 / sqrt(width_in)).
        kernel_initializer=keras.initializers.VarianceScaling(scale=1.0 / 3.0, mode="fan_in", distribution="uniform"),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        name=name,
        dtype=dtype,
    )
    layer.build((None, width_in))
    return layer

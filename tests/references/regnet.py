"""A RegNetY bottleneck block in NumPy, from the description of the released code, one pixel at a time."""

from collections.abc import Mapping

import numpy as np

EPSILON = 1e-5


def convolve(x: np.ndarray, kernel: np.ndarray, *, strides: int = 1, groups: int = 1) -> np.ndarray:
    """Convolves [B, h, w, C] with [k, k, C / groups, F]. The padding is k // 2 zeros on all sides."""
    side, width_in = kernel.shape[0], kernel.shape[2]
    width_out = kernel.shape[3] // groups
    pad = side // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height = (x.shape[1] - 1) // strides + 1
    width = (x.shape[2] - 1) // strides + 1
    outputs = np.zeros((x.shape[0], height, width, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            top, left = row * strides, column * strides
            window = padded[:, top : top + side, left : left + side]
            for group in range(groups):
                taken = window[..., group * width_in : (group + 1) * width_in]
                made = slice(group * width_out, (group + 1) * width_out)
                outputs[:, row, column, made] = np.einsum("bijc,ijcf->bf", taken, kernel[..., made])
    return outputs


def normalize(x: np.ndarray, weights: Mapping[str, np.ndarray], name: str, *, training: bool) -> np.ndarray:
    """Normalises by the moving statistics, or by those of the batch in training."""
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    if training:
        mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    return (x - mean) / np.sqrt(variance + EPSILON) * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def bottleneck_block(
    x: np.ndarray, weights: Mapping[str, np.ndarray], *, strides: int, groups: int, training: bool
) -> np.ndarray:
    """Returns ReLU(shortcut(x) + f(x)). `weights` has arrays by their paths in the block."""
    shortcut = x
    if "shortcut/kernel" in weights:
        shortcut = convolve(x, weights["shortcut/kernel"], strides=strides)
        shortcut = normalize(shortcut, weights, "shortcut_bn", training=training)
    y = np.maximum(normalize(convolve(x, weights["a/kernel"]), weights, "a_bn", training=training), 0)
    y = convolve(y, weights["b/kernel"], strides=strides, groups=groups)
    y = np.maximum(normalize(y, weights, "b_bn", training=training), 0)
    pooled = y.mean(axis=(1, 2))
    squeezed = np.maximum(pooled @ weights["se/reduce_kernel"][0, 0] + weights["se/reduce_bias"], 0)
    gates = 1 / (1 + np.exp(-(squeezed @ weights["se/expand_kernel"][0, 0] + weights["se/expand_bias"])))
    y = convolve(y * gates[:, None, None, :], weights["c/kernel"])
    return np.maximum(shortcut + normalize(y, weights, "c_bn", training=training), 0)

"""The peer of our backbone: the RegNetY of transformers in PyTorch, as its documentation has it."""

from collections.abc import Callable

import torch
import transformers

from seer_tf.models.backbones.regnet import design


def torch_regnet(variant: str, *, stem_stride: int = 2) -> torch.nn.Module:
    """Returns a RegNetY with fresh weights, channels last: float32 [B, 3, H, W] to a `pooler_output` [B, C, 1, 1].

    Args:
        variant: A name of `regnet_design.VARIANTS`.
        stem_stride: 2 as released, 1 for small images.
    """
    stages = design.design(variant).stages()
    config = transformers.RegNetConfig(
        embedding_size=design.STEM_WIDTH,
        hidden_sizes=[stage.width for stage in stages],
        depths=[stage.depth for stage in stages],
        groups_width=stages[0].group_width,
        layer_type="y",
    )
    network = transformers.RegNetModel(config)
    network.embedder.embedder.convolution.stride = (stem_stride, stem_stride)  # no argument of the library's
    return network.to(memory_format=torch.channels_last)


def forward(network: torch.nn.Module, images: torch.Tensor, dtype: torch.dtype, *, compiled: bool) -> Callable:
    """Returns a function that computes the features of the images, and nothing for a gradient.

    Args:
        network: Network of `torch_regnet`.
        images: Float32 [B, 3, H, W], channels last.
        dtype: Dtype of the arithmetic; autocast takes care of bfloat16.
        compiled: Whether `torch.compile` has made it faster.
    """
    features = _features(network.eval(), dtype, compiled=compiled)

    def call() -> torch.Tensor:
        with torch.inference_mode():
            return features(images)

    return call


def forward_and_backward(
    network: torch.nn.Module, images: torch.Tensor, dtype: torch.dtype, *, compiled: bool
) -> Callable:
    """Returns a function that leaves the gradients of the mean square of the features; arguments as `forward`'s."""
    features = _features(network.train(), dtype, compiled=compiled)

    def call() -> None:
        network.zero_grad(set_to_none=True)
        features(images).float().square().mean().backward()

    return call


def _features(network: torch.nn.Module, dtype: torch.dtype, *, compiled: bool) -> Callable:
    def features(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return network(images).pooler_output.flatten(1)

    return torch.compile(features) if compiled else features

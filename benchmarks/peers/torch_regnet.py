"""The peer for our backbone: the RegNetY from transformers in PyTorch, as in its documentation."""

from collections.abc import Callable

import torch
import transformers

from seer_tf.models.backbones.regnet import design


def torch_regnet(variant: str, *, stem_stride: int = 2) -> torch.nn.Module:
    """Returns a RegNetY with random weights, channels last: float32 [B, 3, H, W] -> `pooler_output` [B, C, 1, 1].

    Args:
        variant: Name of a variant in `regnet.design`.
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
    # The library has no argument for this stride.
    network.embedder.embedder.convolution.stride = (stem_stride, stem_stride)
    return network.to(memory_format=torch.channels_last)


def forward(network: torch.nn.Module, images: torch.Tensor, dtype: torch.dtype, *, compiled: bool) -> Callable:
    """Returns a function that computes the features of the images in inference mode, without gradients.

    Args:
        network: Network from `torch_regnet`.
        images: Float32 [B, 3, H, W], channels last.
        dtype: Type of the arithmetic; bfloat16 uses autocast.
        compiled: Whether to use `torch.compile`.
    """
    features = _features(network.eval(), dtype, compiled=compiled)

    def call() -> torch.Tensor:
        with torch.inference_mode():
            return features(images)

    return call


def forward_and_backward(
    network: torch.nn.Module, images: torch.Tensor, dtype: torch.dtype, *, compiled: bool
) -> Callable:
    """Returns a function that computes the gradients of the features' mean square; has the arguments of `forward`."""
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

"""Random weights of a RegNetY in transformers' PyTorch network, and the same weights with the names of other projects.

The names of VISSL and timm follow from Hugging Face's names by the rules in the converters of the three projects, one
substitution after another. The names of torchvision were compared with its own `regnet_y_400mf` (torchvision 0.28.0).
Every tensor has random values. The moving statistics are near those of a batch of noise, so numbers neither vanish nor
explode in the network.
"""

import re
from collections.abc import Mapping

import numpy as np
import torch
import transformers

from seer_tf.models.backbones.regnet.design import RegNetDesign

State = dict[str, torch.Tensor]

_TO_VISSL = (
    (r"^embedder\.embedder\.convolution", "_feature_blocks.conv1.stem.0"),
    (r"^embedder\.embedder\.normalization", "_feature_blocks.conv1.stem.1"),
    (r"\.shortcut\.convolution", ".proj"),
    (r"\.shortcut\.normalization", ".bn"),
    (r"\.layer\.0\.convolution", ".f.a.0"),
    (r"\.layer\.0\.normalization", ".f.a.1"),
    (r"\.layer\.1\.convolution", ".f.b.0"),
    (r"\.layer\.1\.normalization", ".f.b.1"),
    (r"\.layer\.2\.attention", ".f.se.excitation"),
    (r"\.layer\.3\.convolution", ".f.c"),
    (r"\.layer\.3\.normalization", ".f.final_bn"),
    (r"^encoder\.stages\.0\.layers\.", "_feature_blocks.res2.block1-"),
    (r"^encoder\.stages\.1\.layers\.", "_feature_blocks.res3.block2-"),
    (r"^encoder\.stages\.2\.layers\.", "_feature_blocks.res4.block3-"),
    (r"^encoder\.stages\.3\.layers\.", "_feature_blocks.res5.block4-"),
)
# timm's own rules, from VISSL's names
_TO_TIMM = (
    (r"^_feature_blocks\.conv1\.stem\.0", "stem.conv"),
    (r"^_feature_blocks\.conv1\.stem\.1", "stem.bn"),
    (r"\.proj\.", ".downsample.conv."),
    (r"(block\d-\d+)\.bn\.", r"\1.downsample.bn."),
    (r"\.f\.a\.0", ".conv1.conv"),
    (r"\.f\.a\.1", ".conv1.bn"),
    (r"\.f\.b\.0", ".conv2.conv"),
    (r"\.f\.b\.1", ".conv2.bn"),
    (r"\.f\.se\.excitation\.0", ".se.fc1"),
    (r"\.f\.se\.excitation\.2", ".se.fc2"),
    (r"\.f\.c\.", ".conv3.conv."),
    (r"\.f\.final_bn", ".conv3.bn"),
)
# from VISSL's names to torchvision's
_TO_TORCHVISION = (
    (r"^_feature_blocks\.conv1\.stem\.", "stem."),
    (r"^_feature_blocks\.res\d\.block(\d)", r"trunk_output.block\1.block\1"),
    (r"\.proj\.", ".proj.0."),
    (r"(block\d-\d+)\.bn\.", r"\1.proj.1."),
    (r"\.f\.se\.excitation\.0", ".f.se.fc1"),
    (r"\.f\.se\.excitation\.2", ".f.se.fc2"),
    (r"\.f\.c\.", ".f.c.0."),
    (r"\.f\.final_bn", ".f.c.1"),
)


def random_network(design: RegNetDesign, *, seed: int = 0) -> transformers.RegNetModel:
    """Returns transformers' network for a design, in inference mode, with random weights and statistics."""
    stages = design.stages()
    config = transformers.RegNetConfig(
        layer_type="y",
        embedding_size=32,
        hidden_sizes=[stage.width for stage in stages],
        depths=[stage.depth for stage in stages],
        groups_width=stages[0].group_width,
    )
    network = transformers.RegNetModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.normal_(std=parameter[0].numel() ** -0.5, generator=generator)
            else:
                parameter.normal_(std=0.3, generator=generator)
        _settle(network, generator)
    return network.eval()


def _settle(network: transformers.RegNetModel, generator: torch.Generator) -> None:
    """Sets the scales of batch normalisations near one, and their statistics near those of a batch of noise."""
    for norm in norms(network):
        norm.weight.add_(1.0)
        norm.momentum = 1.0  # the statistics become those of this batch
    network.train()(torch.randn([4, 3, 64, 64], generator=generator))
    for norm in norms(network):
        norm.running_mean.add_(torch.randn(norm.running_mean.shape, generator=generator), alpha=0.1)
        norm.running_var.mul_(torch.empty(norm.running_var.shape).uniform_(0.7, 1.4, generator=generator)).add_(0.1)


def norms(network: transformers.RegNetModel) -> list[torch.nn.BatchNorm2d]:
    """Returns the batch normalisations of a network."""
    return [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def output(network: transformers.RegNetModel, images: np.ndarray) -> np.ndarray:
    """Returns the last stage's feature map [B, h', w', C] for normalised images [B, h, w, 3]."""
    with torch.no_grad():
        feature_map = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).last_hidden_state
    return feature_map.numpy().transpose(0, 2, 3, 1)


def vissl(state: Mapping[str, torch.Tensor], heads: State | None = None) -> dict:
    """Returns the content of a released `.torch` file, with the other entries that VISSL stores."""
    model = {"trunk": _renamed(state, _TO_VISSL), "heads": heads or {}}
    momentum = {0: {"momentum_buffer": torch.ones(3)}}
    return {
        "phase_idx": 0,
        "iteration": np.int64(244_000),
        "loss": np.float64(6.5),
        "classy_state_dict": {"base_model": {"model": model}, "optimizer": {"optim": {"state": momentum}}},
    }


def timm(state: Mapping[str, torch.Tensor]) -> State:
    """Returns the state of timm's network."""
    named = _renamed(_renamed(state, _TO_VISSL), _TO_TIMM)
    block = re.compile(r"^_feature_blocks\.res\d\.block(\d)-(\d+)")
    return {block.sub(lambda match: f"s{match[1]}.b{int(match[2]) + 1}", name): value for name, value in named.items()}


def torchvision(state: Mapping[str, torch.Tensor]) -> State:
    """Returns the state of torchvision's network."""
    return _renamed(_renamed(state, _TO_VISSL), _TO_TORCHVISION)


def with_classifier(state: Mapping[str, torch.Tensor]) -> State:
    """Returns the state with the names of `RegNetForImageClassification`, without the classifier."""
    return {f"regnet.{name}": tensor for name, tensor in state.items()}


def _renamed(state: Mapping[str, torch.Tensor], rules: tuple[tuple[str, str], ...]) -> State:
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def random_projection(width: int, hidden_dims: tuple[int, ...], *, batch_norm: bool, seed: int = 1) -> torch.nn.Module:
    """Returns the projection of a SwAV head in PyTorch, in inference mode, with 32 output dimensions."""
    layers: list[torch.nn.Module] = []
    for width_in, width_out in zip((width, *hidden_dims[:-1]), hidden_dims, strict=True):
        layers += [torch.nn.Linear(width_in, width_out), torch.nn.BatchNorm1d(width_out), torch.nn.ReLU()]
    layers.append(torch.nn.Linear(hidden_dims[-1], 32))
    kept = [layer for layer in layers if batch_norm or not isinstance(layer, torch.nn.BatchNorm1d)]
    projection = torch.nn.Sequential(*kept).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in projection.state_dict().items():
        if tensor.dtype == torch.float32 and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5, generator=generator) if "var" in name else tensor.normal_(generator=generator)
    return projection


def random_prototypes(seed: int = 2) -> torch.Tensor:
    """Returns 50 prototypes with 32 dimensions and unit norm."""
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn([50, 32], generator=generator))


def swav_head(projection: torch.nn.Module, prototypes: torch.Tensor) -> State:
    """Returns the state of a SwAV head with VISSL's names."""
    state = {f"0.projection_head.{name}": tensor for name, tensor in projection.state_dict().items()}
    return {**state, "0.prototypes0.weight": prototypes}

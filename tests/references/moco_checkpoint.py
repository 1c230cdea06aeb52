"""A ResNet in PyTorch, written from torchvision's names, and checkpoints of it as MoCo's code saves them."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

State = dict[str, torch.Tensor]
DEPTHS = (3, 4, 6, 3)


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3 with the stride, 1 x 1, and a shortcut."""

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * inner)
        changes = stride != 1 or channels != 4 * inner
        shortcut = nn.Sequential(nn.Conv2d(channels, 4 * inner, 1, stride, bias=False), nn.BatchNorm2d(4 * inner))
        self.downsample = shortcut if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """The trunk, and the projection of MoCo v1 (`mlp=False`) or v2, in place of torchvision's classifier."""

    def __init__(self, *, mlp: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, depth in enumerate(DEPTHS):
            blocks = []
            for block in range(depth):
                blocks.append(_Bottleneck(channels, 64 * 2**stage, 2 if stage and not block else 1))
                channels = 256 * 2**stage
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        last = nn.Linear(2048, 128)
        self.fc = nn.Sequential(nn.Linear(2048, 2048), nn.ReLU(), last) if mlp else last

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the pooled features [B, 2048] and the embeddings [B, 128] of images [B, 3, h, w]."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(len(DEPTHS)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        features = x.mean((2, 3))
        return features, self.fc(features)


def random_resnet50(*, mlp: bool) -> ResNet50:
    """Returns a network with random weights, scales and statistics, in inference mode."""
    torch.manual_seed(0)
    network = ResNet50(mlp=mlp)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.6, 1.4)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(std=0.2)
    return network.eval()


def checkpoint(network: ResNet50) -> dict[str, Any]:
    """Returns what main_moco.py saves: both encoders in `DistributedDataParallel`, the queue, and the optimizer."""
    state: State = {}
    for encoder in ("encoder_q", "encoder_k"):
        state |= {f"module.{encoder}.{name}": tensor for name, tensor in network.state_dict().items()}
    queue = {"module.queue": torch.ones(128, 16), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    momentum = {0: {"momentum_buffer": torch.ones(3)}}
    return {"epoch": 800, "arch": "resnet50", "state_dict": state | queue, "optimizer": {"state": momentum}}


def outputs(network: ResNet50, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns features and embeddings of normalised images [B, h, w, 3]."""
    with torch.no_grad():
        features, embeddings = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return features.numpy(), embeddings.numpy()

"""The peer of our step: SwAV (arXiv 2006.09882, algorithm 1) with LARS in plain PyTorch, as one would write it there.

V crops of an image, B images, K prototypes, D embedding dimensions, A assigning crops.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from benchmarks.torch_regnet import torch_regnet
from seer_tf.config import Config, OptimizerConfig, SwavConfig
from seer_tf.models import regnet_design


class TorchSwav(torch.nn.Module):
    """Backbone, projection and prototypes over the crops of a batch."""

    def __init__(self, config: Config) -> None:
        """Makes it with fresh weights, channels last."""
        super().__init__()
        self.backbone = torch_regnet(config.backbone.variant)
        widths = (regnet_design.design(config.backbone.variant).stages()[-1].width, *config.head.hidden_dims)
        layers: list[torch.nn.Module] = []
        for width_in, width_out in zip(widths[:-1], widths[1:], strict=True):
            layers += [torch.nn.Linear(width_in, width_out), torch.nn.BatchNorm1d(width_out), torch.nn.ReLU()]
        self.projection = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], config.head.embedding_dim))
        self.prototypes = torch.nn.Linear(config.head.embedding_dim, config.head.num_prototypes, bias=False)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(config.crops, name)).reshape(1, 3, 1, 1))

    def forward(self, crops: Sequence[torch.Tensor]) -> torch.Tensor:
        """Scores [V * B, K], crop-major, of uint8 [B, n, s, s, 3] for each size."""
        features = []
        for group in crops:
            images = group.transpose(0, 1).flatten(0, 1).permute(0, 3, 1, 2)  # channels last already
            features.append(self.backbone((images.float() / 255 - self.mean) / self.std).pooler_output.flatten(1))
        return self.prototypes(functional.normalize(self.projection(torch.cat(features))))


@torch.no_grad()
def sinkhorn(scores: torch.Tensor, *, epsilon: float, num_iterations: int) -> torch.Tensor:
    """Codes [..., B, K] of scores [..., B, K] (algorithm 1 of the paper)."""
    q = torch.exp(scores / epsilon)
    num_images, num_prototypes = q.shape[-2:]
    q /= q.sum((-2, -1), keepdim=True)
    for _ in range(num_iterations):
        q /= q.sum(-2, keepdim=True)
        q /= num_prototypes
        q /= q.sum(-1, keepdim=True)
        q /= num_images
    return q * num_images


def loss_of(scores: torch.Tensor, swav: SwavConfig) -> torch.Tensor:
    """Swapped prediction of scores [V, B, K]."""
    codes = sinkhorn(
        scores[: swav.num_assigning_crops].detach(), epsilon=swav.epsilon, num_iterations=swav.sinkhorn_iterations
    )
    log_predictions = functional.log_softmax(scores / swav.temperature, dim=-1)
    loss = scores.new_zeros(())
    for assigning, code in enumerate(codes):
        others = [crop for crop in range(len(scores)) if crop != assigning]
        loss = loss - torch.stack([(code * log_predictions[crop]).sum(-1).mean() for crop in others]).mean()
    return loss / len(codes)


class TorchLars:
    """LARS over all parameters, by PyTorch's operations on lists of tensors."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], config: OptimizerConfig, learning_rate: float) -> None:
        """Makes velocities of zeros."""
        self.parameters, self.config, self.learning_rate = list(parameters), config, learning_rate
        self.velocities = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Updates parameters and velocities by the gradients."""
        gradients = [parameter.grad for parameter in self.parameters]
        norms = torch.stack(torch._foreach_norm(self.parameters))
        gradient_norms = torch.stack(torch._foreach_norm(gradients))
        decay = self.config.weight_decay
        rates = self.config.trust_coefficient * norms
        rates = rates / (gradient_norms + decay * norms + self.config.epsilon)
        rates = torch.where((norms > 0) & (gradient_norms > 0), rates, torch.ones_like(rates))
        steps = torch._foreach_add(gradients, self.parameters, alpha=decay)
        torch._foreach_mul_(steps, list(rates.unbind()))
        torch._foreach_mul_(self.velocities, self.config.momentum)
        torch._foreach_add_(self.velocities, steps)
        torch._foreach_add_(self.parameters, self.velocities, alpha=-self.learning_rate)


def torch_step(config: Config, crops: Sequence[torch.Tensor], *, compiled: bool) -> Callable[[], float]:
    """Returns a function that makes a step and returns its loss.

    Args:
        config: of the step.
        crops: for each size uint8 [B, n, s, s, 3].
        compiled: whether `torch.compile` has made network, codes and loss faster.
    """
    model = TorchSwav(config).train()
    optimizer = TorchLars(list(model.parameters()), config.optimizer, config.schedule.peak_learning_rate)
    num_crops = sum(config.crops.num)

    def forward() -> torch.Tensor:
        return loss_of(model(crops).unflatten(0, (num_crops, -1)), config.swav)

    forward = torch.compile(forward) if compiled else forward

    def step() -> float:
        model.zero_grad(set_to_none=True)
        loss = forward()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.prototypes.weight.copy_(functional.normalize(model.prototypes.weight))
        return loss.item()

    return step

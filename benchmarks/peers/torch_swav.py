"""The peer for our SwAV: SwAV (arXiv 2006.09882, algorithm 1) with LARS in plain, idiomatic PyTorch.

Shapes: V crops of an image, B images, K prototypes, D embedding dimensions, A assigning crops.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from benchmarks.peers.torch_regnet import torch_regnet
from seer_tf.config import Config, OptimizerConfig, SwavConfig
from seer_tf.models.backbones.regnet import design


class TorchSwav(torch.nn.Module):
    """Backbone, projection and prototypes over the crops of a batch."""

    def __init__(self, config: Config) -> None:
        """Creates the model with random weights, channels last. The config chooses float64 or float32."""
        super().__init__()
        self.backbone = torch_regnet(config.backbone.variant, stem_stride=config.backbone.stem_stride)
        widths = (design.design(config.backbone.variant).stages()[-1].width, *config.head.hidden_dims)
        layers: list[torch.nn.Module] = []
        for width_in, width_out in zip(widths[:-1], widths[1:], strict=True):
            layers += [torch.nn.Linear(width_in, width_out), torch.nn.BatchNorm1d(width_out), torch.nn.ReLU()]
        self.projection = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], config.head.embedding_dim))
        self.prototypes = torch.nn.Linear(config.head.embedding_dim, config.head.num_prototypes, bias=False)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(config.crops, name), dtype=torch.float64)
            self.register_buffer(name, values.reshape(1, 3, 1, 1))
        self.to(torch.float64 if config.run.precision == "float64" else torch.float32)

    def forward(self, crops: Sequence[torch.Tensor]) -> torch.Tensor:
        """Returns scores [V * B, K], crop-major, for crops uint8 [B, n, s, s, 3] of each size."""
        features = []
        for group in crops:
            images = group.transpose(0, 1).flatten(0, 1).permute(0, 3, 1, 2)  # already channels last
            features.append(
                self.backbone((images.to(self.mean.dtype) / 255 - self.mean) / self.std).pooler_output.flatten(1)
            )
        return self.prototypes(functional.normalize(self.projection(torch.cat(features))))


@torch.no_grad()
def sinkhorn(scores: torch.Tensor, *, epsilon: float, num_iterations: int) -> torch.Tensor:
    """Returns codes [..., B, K] for scores [..., B, K] (algorithm 1 of the paper)."""
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
    """Returns the loss of swapped prediction for scores [V, B, K]."""
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
    """LARS for all parameters that have a gradient, with PyTorch's operations on lists of tensors."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], config: OptimizerConfig) -> None:
        """Creates velocities of zero."""
        self.config = config
        self.velocities = {parameter: torch.zeros_like(parameter) for parameter in parameters}

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Updates parameters and velocities from the gradients. Without a gradient, both stay the same."""
        moving = [parameter for parameter in self.velocities if parameter.grad is not None]
        gradients = [parameter.grad for parameter in moving]
        velocities = [self.velocities[parameter] for parameter in moving]
        norms = torch.stack(torch._foreach_norm(moving))
        gradient_norms = torch.stack(torch._foreach_norm(gradients))
        decay = self.config.weight_decay
        rates = self.config.trust_coefficient * norms
        rates = rates / (gradient_norms + decay * norms + self.config.epsilon)
        rates = torch.where((norms > 0) & (gradient_norms > 0), rates, torch.ones_like(rates))
        # A gradient of exactly zero would get weight decay here but not in apex's LARC. No parameter has such a
        # gradient.
        steps = torch._foreach_add(gradients, moving, alpha=decay)
        torch._foreach_mul_(steps, list(rates.unbind()))
        torch._foreach_mul_(velocities, self.config.momentum)
        torch._foreach_add_(velocities, steps)
        torch._foreach_add_(moving, velocities, alpha=-learning_rate)


def learning_rates(config: Config) -> np.ndarray:
    """Returns the learning rate of every step as in the released script: a linspace, then a separate cosine.

    Args:
        config: Config with the schedule `swav_cosine`.
    """
    schedule, num_steps = config.schedule, config.run.num_steps
    assert schedule.kind == "swav_cosine", schedule.kind
    scale = config.data.global_batch_size / schedule.reference_batch_size
    start, peak, final = schedule.warmup_start_learning_rate, schedule.peak_learning_rate, schedule.final_learning_rate
    progress = np.arange(num_steps - schedule.warmup_steps) / (num_steps - schedule.warmup_steps)
    cosine = final + 0.5 * (peak - final) * (1 + np.cos(np.pi * progress))
    return scale * np.concatenate([np.linspace(start, peak, schedule.warmup_steps), cosine])


class TorchTraining:
    """A run of SwAV, in the order of the released script.

    Attributes:
        model: Model that is trained.
    """

    def __init__(self, config: Config, *, compiled: bool) -> None:
        """Creates a model with random weights.

        Args:
            config: Run configuration.
            compiled: Whether to use `torch.compile` for network, codes and loss.
        """
        self.model = TorchSwav(config).train()
        self._optimizer = TorchLars(list(self.model.parameters()), config.optimizer)
        num_crops = sum(config.crops.num)

        def loss(crops: Sequence[torch.Tensor]) -> torch.Tensor:
            return loss_of(self.model(crops).unflatten(0, (num_crops, -1)), config.swav)

        self._loss = torch.compile(loss) if compiled else loss

    def step(self, crops: Sequence[torch.Tensor], learning_rate: float, *, freeze_prototypes: bool = False) -> float:
        """Makes a step and returns its loss.

        Args:
            crops: Crops, uint8 [B, n, s, s, 3] for each size.
            learning_rate: Learning rate of this step.
            freeze_prototypes: Whether the prototypes do not change.
        """
        prototypes = self.model.prototypes.weight
        with torch.no_grad():
            prototypes.copy_(functional.normalize(prototypes))
        self.model.zero_grad(set_to_none=True)
        loss = self._loss(crops)
        loss.backward()
        if freeze_prototypes:
            prototypes.grad = None
        self._optimizer.step(learning_rate)
        return loss.item()


def torch_step(config: Config, crops: Sequence[torch.Tensor], *, compiled: bool) -> Callable[[], float]:
    """Returns a function that makes a step, always with the same crops, and returns its loss.

    Args:
        config: Config of the step.
        crops: Crops, uint8 [B, n, s, s, 3] for each size.
        compiled: As for `TorchTraining`.
    """
    training = TorchTraining(config, compiled=compiled)
    return lambda: training.step(crops, config.schedule.peak_learning_rate)

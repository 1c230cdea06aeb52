"""The losses of the package `lightly` and their gradients, for inputs in a file: lightly_losses.py INPUTS OUTPUTS.

This program needs PyTorch and lightly, and nothing of this project, so that it can run in another environment.

Shapes: B images, D embedding dimensions, Q keys of earlier steps.
"""

import sys

import numpy as np
import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss


def main() -> None:
    """Reads `one` and `other` [B, D], `queue` [Q, D] and `temperature`; writes losses, and gradients by both inputs."""
    inputs, results = np.load(sys.argv[1]), {}
    temperature = float(inputs["temperature"])
    with_bank = NTXentLoss(temperature, memory_bank_size=inputs["queue"].shape)
    with_bank.memory_bank.bank.copy_(torch.from_numpy(inputs["queue"]))
    cosine = NegativeCosineSimilarity()
    losses = {
        "simclr": NTXentLoss(temperature),
        "moco": lambda one, other: with_bank(one, other.detach()),
        # |p - t|^2 is 2 - 2 cos for unit norms, and BYOL adds both directions.
        "byol": lambda one, other: 4 + 2 * (cosine(one, other.detach()) + cosine(other, one.detach())),
    }
    for name, loss_of in losses.items():
        one, other = (torch.tensor(inputs[key], requires_grad=True) for key in ("one", "other"))
        loss = loss_of(one, other)
        loss.backward()
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in (one, other)]
        results[name] = loss.detach().numpy()
        results[f"{name}/gradient"] = torch.stack(gradients).numpy()
    np.savez(sys.argv[2], **results)


if __name__ == "__main__":
    main()

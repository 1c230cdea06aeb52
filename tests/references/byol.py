"""The loss and the moving average of BYOL in NumPy, from section 3 and algorithm 1 of arXiv 2006.07733."""

import numpy as np


def regression(predictions: np.ndarray, targets: np.ndarray) -> float:
    """Returns the loss, averaged over images, of predictions and targets, both [2, B, D] with any norm."""
    losses = []
    for prediction, target in ((predictions[0], targets[1]), (predictions[1], targets[0])):
        for q, z in zip(prediction, target, strict=True):
            losses.append(2 - 2 * (q @ z) / (np.linalg.norm(q) * np.linalg.norm(z)))
    return float(np.sum(losses) / predictions.shape[1])


def momentum(step: int, *, start: float, num_steps: int) -> float:
    """Returns tau at a step. The value rises from `start` to 1."""
    return 1 - (1 - start) * (np.cos(np.pi * step / num_steps) + 1) / 2


def followed(average: np.ndarray, weight: np.ndarray, *, share: float) -> np.ndarray:
    """Returns the new average: `share` of the old average plus the rest of the weight."""
    return share * average + (1 - share) * weight

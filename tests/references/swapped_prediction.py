"""Swapped prediction in NumPy, from equations 1 and 2 of SwAV (arXiv 2006.09882), with multi-crop (section 3.4)."""

import numpy as np


def swapped_prediction(scores: np.ndarray, codes: np.ndarray, *, temperature: float) -> float:
    """Returns the loss of scores [V, B, K] and codes [A, B, K]: over a, the mean over v != a of l(z_v, q_a)."""
    losses = []
    for a, code in enumerate(codes):
        others = [v for v in range(len(scores)) if v != a]
        losses.append(np.mean([_cross_entropy(scores[v], code, temperature) for v in others]))
    return float(np.mean(losses))


def swapped_prediction_gradient(scores: np.ndarray, codes: np.ndarray, *, temperature: float) -> np.ndarray:
    """Returns the gradient by the scores, [V, B, K], with constant codes: sums of (p - q) / temperature."""
    gradient = np.zeros_like(scores, np.float64)
    for a, code in enumerate(codes):
        for v in range(len(scores)):
            if v != a:
                gradient[v] += (_softmax(scores[v] / temperature) - code) / temperature
    return gradient / (len(codes) * (len(scores) - 1) * scores.shape[1])


def _cross_entropy(scores: np.ndarray, code: np.ndarray, temperature: float) -> float:
    return -np.mean(np.sum(code * np.log(_softmax(scores / temperature)), axis=1))


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)

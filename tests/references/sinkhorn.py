"""Sinkhorn-Knopp in NumPy, from equations 3 and 5 of SwAV (arXiv 2006.09882)."""

import numpy as np


def sinkhorn(scores: np.ndarray, *, epsilon: float, num_iterations: int) -> np.ndarray:
    """Returns codes [B, K] of scores [B, K].

    Alternating steps give Q, K x B as in the paper, the marginals 1 / K and 1 / B.
    """
    q = np.exp((scores.astype(np.float64).T - scores.max()) / epsilon)  # [K, B]
    num_prototypes, num_images = q.shape
    for _ in range(num_iterations):
        u = (1 / num_prototypes) / q.sum(axis=1)  # [K]
        q = np.diag(u) @ q
        v = (1 / num_images) / q.sum(axis=0)  # [B]
        q = q @ np.diag(v)
    return (num_images * q).T


def log_domain_sinkhorn(scores: np.ndarray, *, epsilon: float, num_iterations: int) -> np.ndarray:
    """Returns the same codes [B, K] from sums of logarithms in float64, which are exact for any shape and epsilon."""
    log_q = scores.astype(np.float64) / epsilon  # [B, K]
    for _ in range(num_iterations):
        log_q = log_q - _log_sum_exp(log_q, axis=0) - np.log(scores.shape[1])
        log_q = log_q - _log_sum_exp(log_q, axis=1) - np.log(scores.shape[0])
    return scores.shape[0] * np.exp(log_q)


def _log_sum_exp(x: np.ndarray, axis: int) -> np.ndarray:
    largest = x.max(axis=axis, keepdims=True)
    return largest + np.log(np.exp(x - largest).sum(axis=axis, keepdims=True))

"""MoCo's loss with a queue in NumPy, from section 3 of arXiv 1911.05722, correct or with a named fault."""

import numpy as np

FAULTS = ("positives among the negatives", "temperature outside")


def info_nce(queries: np.ndarray, keys: np.ndarray, queue: np.ndarray, *, temperature: float, fault: str = "") -> float:
    """Returns the mean loss of queries and keys [B, D] with earlier keys [Q, D]. All rows have unit norm."""
    outside = fault == "temperature outside"
    losses = []
    for query, key in zip(queries, keys, strict=True):
        negatives = np.concatenate([queue, keys]) if fault == "positives among the negatives" else queue
        logits = np.array([query @ key, *(negatives @ query)]) / (1 if outside else temperature)
        losses.append(np.log(np.sum(np.exp(logits))) - logits[0])
    return float(np.mean(losses)) / (temperature if outside else 1)

"""NT-Xent in NumPy, from equation 1 and algorithm 1 of SimCLR (arXiv 2002.05709), correct or with a named fault."""

import numpy as np

FAULTS = ("positives among the negatives", "itself among the candidates", "temperature outside")


def nt_xent(views: np.ndarray, *, temperature: float, fault: str = "") -> float:
    """Returns the mean loss of the embeddings of both views [2, B, D] with unit norm."""
    rows, num_images, losses = views.reshape(-1, views.shape[-1]), views.shape[1], []
    inside = 1.0 if fault == "temperature outside" else temperature
    for number, row in enumerate(rows):
        positive = np.exp(row @ rows[(number + num_images) % len(rows)] / inside)
        total = sum(np.exp(row @ other / inside) for index, other in enumerate(rows) if index != number)
        if fault == "positives among the negatives":
            total += positive
        elif fault == "itself among the candidates":
            total += np.exp(row @ row / inside)
        losses.append(-np.log(positive / total))
    return float(np.mean(losses)) / (temperature if fault == "temperature outside" else 1)

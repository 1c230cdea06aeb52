"""k-NN with weighted votes, from its equations, one query at a time.

For a query q and bank images b_i with labels y_i, the similarities are s_i = q . b_i / (|q| |b_i|). Among the k largest
s_i, each class gets the sum of exp(s_i / temperature) over its own images.
"""

import numpy as np


def knn_predictions(
    bank: np.ndarray, bank_labels: np.ndarray, queries: np.ndarray, *, k: int, temperature: float, num_classes: int
) -> np.ndarray:
    """Returns the class with the most votes for each query, int [Q]."""
    predictions = []
    for query in queries.astype(np.float64):
        similarities = np.array([query @ image / (np.linalg.norm(query) * np.linalg.norm(image)) for image in bank])
        nearest = sorted(range(len(bank)), key=lambda i: -similarities[i])[:k]
        votes = [
            sum(np.exp(similarities[i] / temperature) for i in nearest if bank_labels[i] == c)
            for c in range(num_classes)
        ]
        predictions.append(int(np.argmax(votes)))
    return np.array(predictions)

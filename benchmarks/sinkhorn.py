"""Sinkhorn at the size of the paper's SEER: 16,000 prototypes, 64 images, 2 assigning crops, 10 iterations."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import torch

from benchmarks import torch_swav
from benchmarks.comparison import Case, Comparison, compare
from benchmarks.floors import Work
from seer_tf.swav.sinkhorn import sinkhorn

_CROPS, _IMAGES, _PROTOTYPES = 2, 64, 16_000
_EPSILON, _ITERATIONS = 0.05, 10


def cases() -> Iterator[Case]:
    """Yields ours beside PyTorch's, plain and compiled."""
    yield Case(
        f"Sinkhorn, {_CROPS} x {_IMAGES} images, {_PROTOTYPES:,} prototypes, {_ITERATIONS} iterations", _beside_pytorch
    )


def _beside_pytorch(title: str, rounds: int) -> Comparison:
    scores = np.random.default_rng(0).uniform(-1, 1, [_CROPS, _IMAGES, _PROTOTYPES]).astype(np.float32)
    ours, theirs = tf.constant(scores), torch.from_numpy(scores)
    codes = tf.function(lambda: sinkhorn(ours, epsilon=_EPSILON, num_iterations=_ITERATIONS))
    compiled = torch.compile(torch_swav.sinkhorn)
    return compare(
        title,
        {
            "seer_tf": lambda: codes().numpy(),
            "PyTorch eager": lambda: torch_swav.sinkhorn(theirs, epsilon=_EPSILON, num_iterations=_ITERATIONS),
            "PyTorch compiled": lambda: compiled(theirs, epsilon=_EPSILON, num_iterations=_ITERATIONS),
        },
        rounds=rounds,
        # Each iteration reads the codes and writes them once, if it makes both divisions on the way.
        work=Work(num_bytes=2 * _ITERATIONS * scores.nbytes),
    )

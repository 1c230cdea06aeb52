"""Sinkhorn at the size of the paper's SEER: 16,000 prototypes, 64 images, 2 assigning crops, 10 iterations.

The peers are Sinkhorn in PyTorch, and a whole step with Sinkhorn in it.
"""

import functools
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
import torch

from benchmarks.harness.comparison import Case, Comparison, Contestant, compare
from benchmarks.harness.floors import Work
from benchmarks.harness.settings import Settings
from benchmarks.peers import torch_swav
from benchmarks.suite import one_step
from seer_tf.methods.swav.sinkhorn import sinkhorn

_CROPS, _IMAGES, _PROTOTYPES, _QUICK_PROTOTYPES = 2, 64, 16_000, 100
_EPSILON, _ITERATIONS = 0.05, 10
_STEP = (f"data.global_batch_size={_IMAGES}", f"swav.sinkhorn_iterations={_ITERATIONS}", f"swav.epsilon={_EPSILON}")
_QUICK_STEP = ("backbone.variant=90MF", "crops.sizes_px=32,16")


def cases(settings: Settings) -> Iterator[Case]:
    """Yields ours beside PyTorch's eager and compiled versions, and ours beside a whole step."""
    prototypes = _QUICK_PROTOTYPES if settings.quick else _PROTOTYPES
    of_what = f"Sinkhorn, {_CROPS} x {_IMAGES} images, {prototypes:,} prototypes, {_ITERATIONS} iterations"
    yield Case(of_what, functools.partial(_beside_pytorch, settings.torch_kinds, prototypes))
    fields = (*_STEP, f"head.num_prototypes={prototypes}", *(_QUICK_STEP if settings.quick else ()))
    config = one_step.config_of(fields)
    crops = " + ".join(f"{num} x {side}" for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True))
    title = f"{of_what}, in a step of RegNetY-{config.backbone.variant}, {crops} px"
    yield Case(title, functools.partial(_share_of_step, fields))


def _beside_pytorch(kinds: Mapping[str, bool], prototypes: int, title: str, rounds: int) -> Comparison:
    scores = _scores(prototypes)
    contestants = {one_step.OURS: _ours(scores)}
    for name, compiled in kinds.items():
        contestants[name] = _theirs(scores, compiled=compiled)
    # At best, each iteration reads and writes the codes once, with both divisions in one pass.
    return compare(title, contestants, rounds=rounds, work=Work(num_bytes=2 * _ITERATIONS * scores.nbytes))


def _share_of_step(fields: tuple[str, ...], title: str, rounds: int) -> Comparison:
    config = one_step.config_of(fields)
    contestants = {
        "the whole step": one_step.tf_step(config),
        "its Sinkhorn": _ours(_scores(config.head.num_prototypes)),
    }
    return compare(title, contestants, rounds=rounds)


def _scores(prototypes: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, [_CROPS, _IMAGES, prototypes]).astype(np.float32)


def _ours(scores: np.ndarray) -> Contestant:
    ours = tf.constant(scores)
    return tf.function(lambda: sinkhorn(ours, epsilon=_EPSILON, num_iterations=_ITERATIONS), autograph=False)


def _theirs(scores: np.ndarray, *, compiled: bool) -> Contestant:
    theirs = torch.from_numpy(scores)
    codes = torch.compile(torch_swav.sinkhorn) if compiled else torch_swav.sinkhorn
    return lambda: codes(theirs, epsilon=_EPSILON, num_iterations=_ITERATIONS)

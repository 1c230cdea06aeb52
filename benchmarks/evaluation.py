"""The evaluations beside their peers: `python -m benchmarks.evaluation`.

Features of RegNetY-400MF beside PyTorch with the same network (transformers, channels last), k-NN beside a NumPy
product with `argpartition`, and the linear probe's grid of 20 settings beside one, with the network and without it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import torch
import transformers

from benchmarks import timing
from seer_tf.config import CropsConfig
from seer_tf.evaluation.knn import nearest
from seer_tf.evaluation.probe_grid import RECIPES, Batches, ProbeGrid, ProbeRecipe, shuffled_batches
from seer_tf.evaluation.stages import AVGPOOL, Pooling, StageFeatures, poolings, stage_features
from seer_tf.models import RegNetY
from seer_tf.models.encoder import Encoder
from seer_tf.models.regnet_design import design
from seer_tf.progress import silent
from seer_tf.train.devices import Devices

_VARIANT, _SIDE_PX, _BATCH_SIZE = "400MF", 224, 32
_BANK, _QUERIES, _DIM, _K = 50_000, 2_000, 2048, 200
_NUM_CLASSES = 10


class _Network(Encoder):
    """RegNetY-400MF with fresh weights and ImageNet's normalisation."""

    def __init__(self) -> None:
        self.backbone = RegNetY(_VARIANT)
        self.mean, self.std = CropsConfig().mean, CropsConfig().std


def main() -> None:
    """Runs all of them."""
    network = _Network()
    pooled = poolings(network.backbone, [AVGPOOL], size_px=_SIDE_PX)
    spec = tf.TensorSpec([None, _SIDE_PX, _SIDE_PX, 3], tf.uint8)
    features = Devices().spread(stage_features(network, pooled), spec)
    _features(features)
    _knn()
    _grid(features, pooled)


def _features(features: StageFeatures) -> None:
    images = np.random.default_rng(0).integers(0, 256, [_BATCH_SIZE, _SIDE_PX, _SIDE_PX, 3], np.uint8)
    theirs = _pytorch()
    contestants = {
        "seer_tf": lambda: features(tf.constant(images))[AVGPOOL].numpy(),
        "PyTorch": lambda: theirs(torch.from_numpy(images)).numpy(),
    }
    seconds = timing.alternate(contestants, rounds=9)
    rates = {name: _BATCH_SIZE / float(np.median(times)) for name, times in seconds.items()}
    title = f"features of {_BATCH_SIZE} images of {_SIDE_PX} px, RegNetY-{_VARIANT}, float32"
    timing.report(title, seconds, ours="seer_tf", images_per_second=rates)


def _pytorch() -> Callable[[torch.Tensor], torch.Tensor]:
    stages = design(_VARIANT).stages()
    config = transformers.RegNetConfig(
        embedding_size=32,
        hidden_sizes=[stage.width for stage in stages],
        depths=[stage.depth for stage in stages],
        groups_width=stages[0].group_width,
        layer_type="y",
    )
    model = transformers.RegNetModel(config).eval().to(memory_format=torch.channels_last)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (CropsConfig().mean, CropsConfig().std))

    def features(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            pixels = (images.permute(0, 3, 1, 2).float() / 255 - mean) / std
            return model(pixels.contiguous(memory_format=torch.channels_last)).pooler_output.flatten(1)

    return features


def _knn() -> None:
    generator = np.random.default_rng(0)
    bank, queries = (generator.normal(size=[n, _DIM]).astype(np.float32) for n in (_BANK, _QUERIES))

    def ours() -> np.ndarray:
        with silent():
            return nearest(bank, queries, _K)[1]

    def numpy() -> np.ndarray:
        unit_bank, unit = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, queries))
        found = []
        for start in range(0, _QUERIES, 500):
            similarities = unit[start : start + 500] @ unit_bank.T
            found.append(np.argpartition(-similarities, _K, axis=1)[:, :_K])
        return np.concatenate(found)

    seconds = timing.alternate({"seer_tf": ours, "NumPy": numpy}, rounds=3)
    timing.report(f"{_K} nearest of {_BANK:,} x {_DIM:,} for {_QUERIES:,} queries", seconds, ours="seer_tf")


def _grid(features: StageFeatures, pooled: dict[str, Pooling]) -> None:
    generator, grid = np.random.default_rng(0), dataclasses.replace(RECIPES["grid"], epochs=1)
    one = dataclasses.replace(grid, learning_rates=(0.01,), weight_decays=(5e-4,))
    labels = generator.integers(0, _NUM_CLASSES, 8 * 256)
    stored = {AVGPOOL: generator.normal(size=[len(labels), _DIM]).astype(np.float32)}
    images = generator.integers(0, 256, [_BATCH_SIZE, _SIDE_PX, _SIDE_PX, 3], np.uint8)

    def through_the_network(_: int) -> list:
        return [(features(tf.constant(images)), labels[:_BATCH_SIZE]) for _ in range(4)]

    for what, batches, num_images, shape in (
        ("with the network", through_the_network, 4 * _BATCH_SIZE, pooled),
        (
            "on stored features",
            shuffled_batches(stored, labels, 256, seed=0),
            len(labels),
            {AVGPOOL: Pooling(1, 1, _DIM)},
        ),
    ):
        contestants = {
            "one setting": _fit(shape, one, batches, num_images),
            "20 settings": _fit(shape, grid, batches, num_images),
        }
        timing.report(f"linear probe {what}", timing.alternate(contestants, rounds=5), ours="one setting")


def _fit(pooled: dict[str, Pooling], recipe: ProbeRecipe, batches: Batches, num_images: int) -> Callable[[], None]:
    grid = ProbeGrid(pooled, _NUM_CLASSES, recipe, seed=0)

    def fit() -> None:
        with silent():
            grid.fit(batches, num_images, held_out={}, held_out_labels=np.array([]))

    return fit


if __name__ == "__main__":
    main()

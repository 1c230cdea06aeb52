"""The evaluations beside their peers.

The peer for features is PyTorch with the same network. The peer for k-NN is a NumPy product with `argpartition`. The
linear probe's grid of 20 settings is compared with a single setting, with the network and on stored features.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
import torch

from benchmarks.harness.comparison import Case, Comparison, Contestant, compare
from benchmarks.harness.floors import Work
from benchmarks.harness.settings import Settings
from benchmarks.peers import torch_regnet
from seer_tf.config import CropsConfig
from seer_tf.distributed.inference import InferenceDevices
from seer_tf.evaluation.features.stages import Pooling, StageFeatures, poolings, stage_features
from seer_tf.evaluation.protocols.knn import nearest
from seer_tf.evaluation.protocols.probe_grid import RECIPES, Batches, ProbeGrid, shuffled_batches
from seer_tf.models import RegNetY
from seer_tf.models.backbones.regnet import design
from seer_tf.models.encoder import Encoder
from seer_tf.models.stage_maps import AVGPOOL
from seer_tf.progress import silent

_NUM_CLASSES, _NEIGHBOURS, _PROBE_BATCH = 10, 200, 256
_QUERIES_AT_ONCE = 500


@dataclasses.dataclass(frozen=True)
class _Sizes:
    """Sizes of the work.

    Attributes:
        variant: Variant of the network.
        size_px: Side of the images in pixels.
        images: Images in a batch.
        batches: Batches for the probe, with the network and on stored features.
        bank: Number of features in the bank.
        queries: Number of queries.
        dim: Length of a feature.
    """

    variant: str = "400MF"
    size_px: int = 224
    images: int = 32
    batches: tuple[int, int] = (4, 8)
    bank: int = 50_000
    queries: int = 2_000
    dim: int = 2_048


_QUICK = _Sizes("90MF", 32, 4, (1, 1), bank=1_000, queries=10, dim=16)


class _Network(Encoder):
    """A backbone with random weights and ImageNet's normalisation."""

    def __init__(self, variant: str) -> None:
        self.backbone = RegNetY(variant)
        self.mean, self.std = CropsConfig().mean, CropsConfig().std


class _TorchNetwork(torch.nn.Module):
    """The same network in PyTorch, on uint8 [B, H, W, 3]."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.backbone = torch_regnet.torch_regnet(variant)
        self.mean, self.std = (
            torch.tensor(values).reshape(1, 3, 1, 1) for values in (CropsConfig().mean, CropsConfig().std)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone((images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std)


def cases(settings: Settings) -> Iterator[Case]:
    """Yields features, k-NN, and the linear probe's grid with the network and on stored features."""
    sizes = _QUICK if settings.quick else _Sizes()
    title = f"features of {sizes.images} images of {sizes.size_px} px, RegNetY-{sizes.variant}, float32"
    yield Case(title, functools.partial(_features, settings.torch_kinds, sizes))
    title = f"{_NEIGHBOURS} nearest of {sizes.bank:,} x {sizes.dim:,} for {sizes.queries:,} queries"
    yield Case(title, functools.partial(_nearest, sizes))
    title = f"linear probe with RegNetY-{sizes.variant}, {sizes.size_px} px"
    yield Case(title, functools.partial(_probe_with_network, sizes))
    yield Case("linear probe on stored features", functools.partial(_probe_on_stored_features, sizes))


def _features(kinds: Mapping[str, bool], sizes: _Sizes, title: str, rounds: int) -> Comparison:
    images, features = _images(sizes), _our_features(sizes)[0]
    contestants: dict[str, Contestant] = {"seer_tf": lambda: features(tf.constant(images))[AVGPOOL].numpy()}
    for name, compiled in kinds.items():
        network = _TorchNetwork(sizes.variant)
        contestants[name] = torch_regnet.forward(network, torch.from_numpy(images), torch.float32, compiled=compiled)
    multiply_adds = design.multiply_adds(design.design(sizes.variant), size_px=sizes.size_px)
    work = Work(flops=2 * sizes.images * multiply_adds)
    return compare(title, contestants, rounds=rounds, work=work, num_images=sizes.images)


def _nearest(sizes: _Sizes, title: str, rounds: int) -> Comparison:
    generator = np.random.default_rng(0)
    bank, queries = (generator.normal(size=[n, sizes.dim]).astype(np.float32) for n in (sizes.bank, sizes.queries))

    def ours() -> np.ndarray:
        with silent():
            return nearest(bank, queries, _NEIGHBOURS)[1]

    def numpy() -> np.ndarray:
        unit_bank, unit = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, queries))
        found = []
        for start in range(0, sizes.queries, _QUERIES_AT_ONCE):
            similarities = unit[start : start + _QUERIES_AT_ONCE] @ unit_bank.T
            found.append(np.argpartition(-similarities, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS])
        return np.concatenate(found)

    work = Work(flops=2 * sizes.bank * sizes.queries * sizes.dim)
    return compare(title, {"seer_tf": ours, "NumPy": numpy}, rounds=rounds, work=work, num_images=sizes.queries)


def _probe_with_network(sizes: _Sizes, title: str, rounds: int) -> Comparison:
    images, (features, pooled) = _images(sizes), _our_features(sizes)
    labels = np.random.default_rng(0).integers(0, _NUM_CLASSES, sizes.images)

    def batches(_: int) -> list:
        return [(features(tf.constant(images)), labels) for _ in range(sizes.batches[0])]

    return _probes(title, pooled, batches, sizes.batches[0] * sizes.images, rounds)


def _probe_on_stored_features(sizes: _Sizes, title: str, rounds: int) -> Comparison:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, _NUM_CLASSES, sizes.batches[1] * _PROBE_BATCH)
    stored = {AVGPOOL: generator.normal(size=[len(labels), sizes.dim]).astype(np.float32)}
    batches = shuffled_batches(stored, labels, _PROBE_BATCH, seed=0)
    return _probes(title, {AVGPOOL: Pooling(1, 1, sizes.dim)}, batches, len(labels), rounds)


def _probes(title: str, pooled: dict[str, Pooling], batches: Batches, num_images: int, rounds: int) -> Comparison:
    """Times an epoch of the grid's 20 settings, and of one setting alone."""
    grid = dataclasses.replace(RECIPES["grid"], epochs=1)
    one = dataclasses.replace(grid, learning_rates=(0.01,), weight_decays=(5e-4,))
    contestants: dict[str, Contestant] = {}
    for name, recipe in (("20 settings", grid), ("one setting", one)):
        probe = ProbeGrid(pooled, _NUM_CLASSES, recipe, seed=0)
        contestants[name] = functools.partial(_fit, probe, batches, num_images)
    return compare(title, contestants, rounds=rounds, num_images=num_images)


def _fit(probe: ProbeGrid, batches: Batches, num_images: int) -> None:
    with silent():
        probe.fit(batches, num_images, held_out={}, held_out_labels=np.array([]))


def _our_features(sizes: _Sizes) -> tuple[StageFeatures, dict[str, Pooling]]:
    network = _Network(sizes.variant)
    pooled = poolings(network.backbone, [AVGPOOL], size_px=sizes.size_px)
    spec = tf.TensorSpec([None, sizes.size_px, sizes.size_px, 3], tf.uint8)
    return InferenceDevices().spread(stage_features(network, pooled), spec), pooled


def _images(sizes: _Sizes) -> np.ndarray:
    shape = [sizes.images, sizes.size_px, sizes.size_px, 3]
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

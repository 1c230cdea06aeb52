"""A whole SwAV step of RegNetY-400MF: ours beside the same network of stock Keras layers.

Both run the same step (crops, forward, Sinkhorn, backward, LARS) at 64 px and batch 64, two crops, in turn:
`python benchmarks/train_step.py`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks import timing
from benchmarks.stock_keras import stock_regnety
from seer_tf.config import BackboneConfig, Config, CropsConfig, DataConfig, HeadConfig
from seer_tf.models import SwavHead, SwavModel
from seer_tf.models.regnet_design import design
from seer_tf.train.state import TrainState
from seer_tf.train.step import train_step

_CONFIG = Config(
    data=DataConfig(global_batch_size=32),
    crops=CropsConfig(num=(2,), sizes_px=(64,), min_area_fractions=(0.14,), max_area_fractions=(1.0,)),
    backbone=BackboneConfig(variant="400MF"),
    head=HeadConfig(hidden_dims=(512,), embedding_dim=128, num_prototypes=100),
)
_ROUNDS = 7


def main() -> None:
    """Runs the benchmark and prints its table."""
    stock = SwavModel(
        stock_regnety(design(_CONFIG.backbone.variant).stages()),
        SwavHead(_CONFIG.head.hidden_dims, _CONFIG.head.embedding_dim, _CONFIG.head.num_prototypes),
        _CONFIG.crops.mean,
        _CONFIG.crops.std,
    )
    contestants = {"seer_tf": _step(TrainState(_CONFIG)), "stock Keras layers": _step(TrainState(_CONFIG, model=stock))}
    seconds = timing.alternate(contestants, rounds=_ROUNDS)
    timing.report("SwAV step, RegNetY-400MF, 32 images x 2 crops of 64 px, float32", seconds, ours="seer_tf")


def _step(state: TrainState) -> Callable[[], object]:
    images, side = _CONFIG.data.global_batch_size, _CONFIG.crops.sizes_px[0]
    pixels = np.random.default_rng(0).integers(0, 256, (images, _CONFIG.crops.num[0], side, side, 3))
    crops = (tf.constant(pixels, tf.uint8),)
    step = tf.function(lambda: train_step(state, crops))
    return lambda: step()["loss"].numpy()


if __name__ == "__main__":
    main()

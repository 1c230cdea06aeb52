"""Steps of two replicas on the CPU, whose batch norm is synchronised, and the memory of the process.

`python benchmarks/suite/replica_steps.py STEPS [section.field=value ...]` prints seconds of each step and peak MiB as a
line of JSON. It imports nothing but `seer_tf` and TensorFlow, so it runs with an earlier version of `seer_tf`, too.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import resource
import sys
import time

import numpy as np
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.distributed.strategy import make_strategy, place
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step

_REPLICAS = 2


def main(num_steps: str, *assignments: str) -> None:
    """Makes the steps after a first one, which traces."""
    config = configs.override(Config(), assignments)
    strategy = make_strategy(place("auto", _REPLICAS, None, num_gpus=0))
    with strategy.scope():
        state = TrainState(config)
    random, images = np.random.default_rng(0), config.data.global_batch_size // _REPLICAS
    crops = tuple(
        tf.constant(random.integers(0, 256, (images, num, side, side, 3), np.uint8))
        for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True)
    )
    step = tf.function(lambda: strategy.run(train_step, args=(state, crops)), autograph=False)
    seconds = []
    for _ in range(1 + int(num_steps)):
        started = time.perf_counter()
        strategy.experimental_local_results(step()["loss"])[0].numpy()
        seconds.append(time.perf_counter() - started)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds[1:], "peak_mib": peak_mib}))


if __name__ == "__main__":
    main(*sys.argv[1:])

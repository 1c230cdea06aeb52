"""The memory of a whole training step: the planned memory beside the smallest memory in which the step runs.

TensorFlow's allocator on the CPU accepts a limit, like the limit of an accelerator. Each trial is a fresh process that
makes three steps or runs out of memory. A binary search finds the smallest limit to within 3 %:
`python -m benchmarks.suite.step_memory`.
"""

import os
import subprocess
import sys

import tensorflow as tf

from seer_tf import config as configs
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.pretraining.planning import plan

_LIMIT = "TF_MKL_ALLOC_MAX_BYTES"
_MIB = 2**20
_PRECISE = 0.03
_NO_MEMORY = 3
_FIRST_GUESSES = (0.7, 1.4)  # relative to the plan

#: Variant, images, sizes of two large and four small crops, further fields.
CASES: tuple[tuple[str, int, tuple[int, int], tuple[str, ...]], ...] = (
    ("400MF", 48, (96, 48), ()),
    ("4GF", 24, (96, 48), ()),
    ("16GF", 12, (96, 48), ()),
    ("400MF", 48, (96, 48), ("backbone.activation_checkpointing=convolution",)),
    ("4GF", 24, (96, 48), ("backbone.activation_checkpointing=convolution",)),
)


def main() -> None:
    """Prints a Markdown table."""
    print("| network | images | crops | planned, MiB | needed, MiB | planned / needed |\n|---|---|---|---|---|---|")
    for variant, images, sizes, more in CASES:
        planned, needed = planned_and_needed(variant, images, sizes, more)
        crops = f"2 x {sizes[0]} + 4 x {sizes[1]}" + "".join(f", {field}" for field in more)
        print(f"| {variant} | {images} | {crops} | {planned:.0f} | {needed:.0f} | {planned / needed:.2f} |", flush=True)


def planned_and_needed(
    variant: str, images: int, sizes_px: tuple[int, int], assignments: tuple[str, ...] = ()
) -> tuple[float, float]:
    """Returns the planned memory and the smallest memory in which three steps run, both in MiB.

    Args:
        variant: Variant of the network.
        images: Images in a step.
        sizes_px: Sizes of two large and of four small crops.
        assignments: Further assignments `section.field=value`.

    Raises:
        RuntimeError: A step failed for another reason than memory.
    """
    planned = plan(_config(variant, images, sizes_px, assignments), num_devices=1).memory.total / _MIB
    low, high = (planned * guess for guess in _FIRST_GUESSES)
    while _runs_in(low, variant, images, sizes_px, assignments):
        low *= _FIRST_GUESSES[0]
    while not _runs_in(high, variant, images, sizes_px, assignments):
        high *= _FIRST_GUESSES[1]
    while high / low > 1 + _PRECISE:
        middle = (low * high) ** 0.5
        if _runs_in(middle, variant, images, sizes_px, assignments):
            high = middle
        else:
            low = middle
    return planned, high


def _runs_in(limit_mib: float, variant: str, images: int, sizes_px: tuple[int, int], more: tuple[str, ...]) -> bool:
    """Returns whether a child process makes its steps.

    Without enough memory, the process exits or dies, because oneDNN does not always check.
    """
    environment = {**os.environ, _LIMIT: str(int(limit_mib * _MIB)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    case = [variant, str(images), ",".join(map(str, sizes_px)), *more]
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.suite.step_memory", *case], env=environment, capture_output=True, text=True
    )
    if child.returncode > 0 and child.returncode != _NO_MEMORY:
        raise RuntimeError(f"the step of {case} failed:\n{child.stderr}")
    return child.returncode == 0


def _config(variant: str, images: int, sizes_px: tuple[int, int], assignments: tuple[str, ...]) -> configs.Config:
    config = configs.Config(
        data=configs.DataConfig(global_batch_size=images),
        crops=configs.CropsConfig(sizes_px=sizes_px),
        backbone=configs.BackboneConfig(variant=variant),
        swav=configs.SwavConfig(freeze_prototypes_steps=0),
    )
    return configs.override(config, assignments)


def _three_steps(variant: str, images: str, sizes: str, *assignments: str) -> None:
    big, small = (int(size) for size in sizes.split(","))
    config = _config(variant, int(images), (big, small), assignments)
    state = TrainState(config)
    groups = zip(config.crops.num, config.crops.sizes_px, strict=True)
    crops = tuple(
        tf.cast(tf.random.stateless_uniform([int(images), count, size, size, 3], [0, size], 0, 256, tf.int32), tf.uint8)
        for count, size in groups
    )
    step = tf.function(lambda: train_step(state, crops))
    try:
        for _ in range(3):
            step()
    except tf.errors.ResourceExhaustedError:
        sys.exit(_NO_MEMORY)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _three_steps(*sys.argv[1:])
    else:
        main()

"""Named runs: each function returns a whole config and says where its numbers come from and what to expect of it."""

import dataclasses
from collections.abc import Callable

from seer_tf.config import (
    BackboneConfig,
    Config,
    CropsConfig,
    DataConfig,
    HeadConfig,
    RunConfig,
    ScheduleConfig,
    SwavConfig,
)
from seer_tf.errors import InputError


def debug_tiny() -> Config:
    """Twenty steps of the smallest network on crops of 32 and 16 px: the whole road in seconds, for tests.

    Command: `python experiments/pretrain.py --recipe=debug_tiny --run_dir=DIR`. Expect nothing of its features.
    """
    return Config(
        data=DataConfig(global_batch_size=16),
        crops=CropsConfig(num=(2, 2), sizes_px=(32, 16), blur_probability=0.0),
        backbone=BackboneConfig(variant=_SMALL, stem_stride=1),
        head=HeadConfig(hidden_dims=(32,), embedding_dim=16, num_prototypes=8),
        swav=SwavConfig(freeze_prototypes_steps=4),
        schedule=ScheduleConfig(warmup_steps=4, peak_learning_rate=0.6, final_learning_rate=0.0006),
        run=RunConfig(num_steps=20, log_every_steps=5, checkpoint_every_steps=10, steps_per_call=5),
    )


def demo() -> Config:
    """The demo's run on the built-in images: 600 steps of 64 images, a few minutes on two cores.

    Command: `script/demo`. Its epsilon is 0.02, not the 0.05 of SwAV, and its colour jitter half as strong: at the
    start scores grow only where crops of an image have more than epsilon / temperature of their variance in common.
    Expect k-NN (k = 20) to rise from 25 to between 53 and 59 %. `docs/results.md` has what was tried.
    """
    return Config(
        data=DataConfig(global_batch_size=64),
        crops=_small_crops(),
        backbone=BackboneConfig(variant=_SMALL, stem_stride=1),
        head=HeadConfig(hidden_dims=(512,), embedding_dim=64, num_prototypes=60),
        swav=SwavConfig(epsilon=0.02, freeze_prototypes_steps=50),
        schedule=ScheduleConfig(warmup_steps=50, peak_learning_rate=3.0, final_learning_rate=0.003),
        run=RunConfig(num_steps=600, log_every_steps=20, checkpoint_every_steps=200),
    )


def cifar10_small() -> Config:
    """SwAV on 10,000 unlabelled CIFAR-10 images in eight minutes on two cores.

    Command: `python experiments/pretrain.py --recipe=cifar10_small --data=shards:DIR --run_dir=RUN`. Expect k-NN
    (k = 20) to rise from 25.5 to about 42 % in 8 minutes.
    """
    base = demo()
    return dataclasses.replace(
        base,
        head=dataclasses.replace(base.head, num_prototypes=100),
        run=RunConfig(num_steps=2000),
    )


def swav_imagenet_400mf() -> Config:
    """SwAV's small-batch setting (batch 256, K = 3,000, epsilon 0.05; SwAV, appendix A) on RegNetY-400MF.

    The learning rate is 0.3 per 256 images of the global batch, there is no warm-up, and prototypes are frozen for
    5,005 steps (the released script for batch 256). Not run here: it wants ImageNet and days of a GPU.
    """
    return Config(
        backbone=BackboneConfig(variant="400MF"),
        head=HeadConfig(hidden_dims=(2048,), embedding_dim=128, num_prototypes=3000),
        crops=CropsConfig(num=(2, 6)),
        swav=SwavConfig(freeze_prototypes_steps=5005),
        schedule=ScheduleConfig(peak_learning_rate=0.6, final_learning_rate=0.0006),
        run=RunConfig(num_steps=200 * 5005, checkpoint_every_steps=5005),
    )


RECIPES: dict[str, Callable[[], Config]] = {
    function.__name__: function for function in (debug_tiny, demo, cifar10_small, swav_imagenet_400mf)
}


def recipe(name: str) -> Config:
    """Returns the config of a recipe, with the recipe's name in it.

    Raises:
        InputError: there is no such recipe; the text lists the valid ones and the nearest.
    """
    if name not in RECIPES:
        raise InputError.unknown("recipe", name, RECIPES)
    return dataclasses.replace(RECIPES[name](), recipe=name)


# The RegNet design (4, 32, 50, 2.0, 16): widths 32, 64, 128, 256 with one block each.
_SMALL = "90MF"


def _small_crops() -> CropsConfig:
    """Two crops of 32 px and four of 16 px for images of 32 to 64 px; a blur of 2 px would leave nothing of them."""
    return CropsConfig(
        sizes_px=(32, 16),
        min_area_fractions=(0.4, 0.12),
        max_area_fractions=(1.0, 0.4),
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        blur_probability=0.0,
    )

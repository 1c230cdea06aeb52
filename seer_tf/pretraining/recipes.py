"""Recipes: each function returns a whole config; its docstring has the sources of the numbers and expected results."""

import dataclasses

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
from seer_tf.config.recipes import IMAGENET_IMAGES, by_name, find_recipe
from seer_tf.pretraining import seer_recipes


def debug_tiny() -> Config:
    """Twenty steps of the smallest network on crops of 32 and 16 px: a whole run in seconds, for tests.

    Expect nothing from its features.
    """
    return Config(
        data=DataConfig(global_batch_size=16),
        crops=CropsConfig(num=(2, 2), sizes_px=(32, 16), blur_probability=0.0),
        backbone=BackboneConfig(variant=_SMALL, stem_stride=1),
        head=HeadConfig(hidden_dims=(32,), embedding_dim=16, num_prototypes=8),
        swav=SwavConfig(freeze_prototypes_steps=4),
        schedule=ScheduleConfig(
            warmup_steps=4, peak_learning_rate=0.6, final_learning_rate=0.0006, reference_batch_size=16
        ),
        run=RunConfig(num_steps=20, log_every_steps=5, checkpoint_every_steps=10, steps_per_call=5),
    )


def demo() -> Config:
    """The demo's run on the built-in images: 700 steps of 32 images.

    Command: `script/demo`. Epsilon is 0.02, not SwAV's 0.05: at the start scores grow only if crops of an image share
    more than epsilon / temperature of the scores' variance. Crops are large parts of the image, which share more. They
    may have any hue, since a network that tells images apart by colour learns little else. The warm-up is long: where
    the rate is near its peak too early, RankMe falls and k-NN stays. `docs/lab/results.md` has all seeds.
    """
    return Config(
        data=DataConfig(global_batch_size=32),
        crops=dataclasses.replace(
            _small_crops(48, 24), min_area_fractions=(0.5, 0.2), max_area_fractions=(1.0, 0.6), hue=0.5
        ),
        backbone=BackboneConfig(variant=_SMALL, features="all_stages"),
        head=HeadConfig(hidden_dims=(512,), embedding_dim=64, num_prototypes=30),
        swav=SwavConfig(epsilon=0.02, freeze_prototypes_steps=50),
        schedule=ScheduleConfig(
            warmup_steps=200, peak_learning_rate=2.0, final_learning_rate=0.002, reference_batch_size=32
        ),
        run=RunConfig(num_steps=700, log_every_steps=20, checkpoint_every_steps=200, on_trouble="recover"),
    )


def cifar10_small() -> Config:
    """SwAV on 10,000 unlabelled CIFAR-10 images in eight minutes on two cores.

    Expect k-NN (k = 20) to rise from 25.5 to about 42 % in 8 minutes.
    """
    return Config(
        data=DataConfig(global_batch_size=64),
        crops=_small_crops(32, 16),
        backbone=BackboneConfig(variant=_SMALL, stem_stride=1),
        head=HeadConfig(hidden_dims=(512,), embedding_dim=64, num_prototypes=100),
        swav=SwavConfig(epsilon=0.02, freeze_prototypes_steps=50),
        schedule=ScheduleConfig(
            warmup_steps=50, peak_learning_rate=3.0, final_learning_rate=0.003, reference_batch_size=64
        ),
        run=RunConfig(num_steps=2000),
    )


def cifar10() -> Config:
    """SwAV on 10,000 unlabelled CIFAR-10 images within 45 minutes on two cores: `cifar10_small`, larger and longer.

    Expect k-NN (k = 20) to rise from 28 to about 49 %. With a learning rate of 1 or less k-NN stays three points
    lower, and a learning rate of 3 has once ruined a run of this length; `docs/lab/results.md` has other settings.
    """
    base = cifar10_small()
    return dataclasses.replace(
        base,
        backbone=dataclasses.replace(base.backbone, variant="190MF"),
        schedule=dataclasses.replace(base.schedule, peak_learning_rate=2.0, final_learning_rate=0.002),
        run=dataclasses.replace(base.run, num_steps=4000, examine_every_steps=400),
    )


def swav_imagenet_400mf() -> Config:
    """SwAV's small-batch setting (batch 256, K = 3,000, epsilon 0.05; SwAV, appendix A.1, A.6) on RegNetY-400MF.

    From `scripts/swav_200ep_bs256_pretrain.sh`: the learning rate goes from 0.6 to 0.0006 without a warm-up, prototypes
    are frozen for 5,005 steps, and after 15 epochs a queue of 3,840 embeddings is filled, which takes 15 steps. An
    epoch has 5,004 steps, because the last batch is dropped. The script computes in float16. Not run here: it needs
    ImageNet and days on a GPU.
    """
    epoch_steps = IMAGENET_IMAGES // 256
    return Config(
        backbone=BackboneConfig(variant="400MF"),
        head=HeadConfig(hidden_dims=(2048,), embedding_dim=128, num_prototypes=3000),
        crops=CropsConfig(num=(2, 6)),
        swav=SwavConfig(freeze_prototypes_steps=5005, queue_length=3840, queue_start_step=15 * epoch_steps + 15),
        schedule=ScheduleConfig(peak_learning_rate=0.6, final_learning_rate=0.0006),
        run=RunConfig(num_steps=200 * epoch_steps, precision="mixed_float16", checkpoint_every_steps=epoch_steps),
    )


def swav_imagenet_16gf() -> Config:
    """SwAV on ImageNet with RegNetY-16GF as VISSL released it: 800 epochs, batch 4,096 on 64 GPUs, 2 x 224 + 6 x 96.

    Head 3024-3024-128 without batch norm and 3,000 prototypes (VISSL's `swav/models/regnet16Gf.yaml`); all else comes
    from VISSL's `swav_8node_resnet.yaml`. That file starts at a learning rate of 0.3, but VISSL replaces it by the rate
    of one node, 0.6. VISSL drops the last batch of an epoch, which leaves 312 steps. The warm-up takes ten epochs, and
    prototypes are frozen for 313 steps. Expect 76.15 % by a linear probe (VISSL's model zoo). Not run here.
    """
    epoch_steps = IMAGENET_IMAGES // 4096
    return Config(
        data=DataConfig(global_batch_size=4096),
        backbone=BackboneConfig(variant="16GF"),
        head=HeadConfig(hidden_dims=(3024,), embedding_dim=128, batch_norm=False, num_prototypes=3000),
        crops=CropsConfig(num=(2, 6)),
        swav=SwavConfig(freeze_prototypes_steps=313),
        schedule=seer_recipes.vissl_schedule(4096, node_batch_size=8 * 64, warmup_steps=10 * epoch_steps),
        run=RunConfig(
            num_steps=800 * epoch_steps,
            precision="mixed_float16",
            batch_norm_group_replicas=8,
            checkpoint_every_steps=epoch_steps,
        ),
    )


def swav_imagenet_resnet50() -> Config:
    """SwAV's own ResNet-50 on ImageNet: 800 epochs of batch 4,096 on 64 GPUs (`scripts/swav_800ep_pretrain.sh`).

    Head 2048-2048-128 with batch norm, 3,000 prototypes, 2 x 224 + 6 x 96. The learning rate rises from 0.3 to 4.8 in
    ten epochs, then a cosine begins. Batch norm is over groups of 8 GPUs. SwAV's code divides red by 0.228, not 0.229,
    and blurs with OpenCV. Expect 75.3 % by a linear probe (SwAV, appendix A.3). Not run here.
    """
    epoch_steps = IMAGENET_IMAGES // 4096
    return Config(
        data=DataConfig(global_batch_size=4096),
        backbone=BackboneConfig(variant="resnet50"),
        head=HeadConfig(hidden_dims=(2048,), embedding_dim=128, num_prototypes=3000),
        crops=CropsConfig(num=(2, 6), std=_SWAV_STD),
        swav=SwavConfig(freeze_prototypes_steps=313),
        schedule=ScheduleConfig(
            warmup_steps=10 * epoch_steps,
            warmup_start_learning_rate=0.3,
            peak_learning_rate=4.8,
            final_learning_rate=0.0048,
            reference_batch_size=4096,
        ),
        run=RunConfig(
            num_steps=800 * epoch_steps,
            precision="mixed_float16",
            batch_norm_group_replicas=8,
            checkpoint_every_steps=epoch_steps,
        ),
    )


def swav_imagenet_resnet50_256() -> Config:
    """SwAV's ResNet-50 with a batch of 256 on 4 GPUs and a queue (`scripts/swav_200ep_bs256_pretrain.sh`).

    All numbers are those of `swav_imagenet_400mf`, which takes them from this script.
    Expect 72.7 % by a linear probe (SwAV's README.md). Not run here.
    """
    config = swav_imagenet_400mf()
    return dataclasses.replace(
        config,
        backbone=BackboneConfig(variant="resnet50"),
        crops=dataclasses.replace(config.crops, std=_SWAV_STD),
    )


RECIPES = by_name(
    debug_tiny,
    demo,
    cifar10_small,
    cifar10,
    swav_imagenet_400mf,
    swav_imagenet_16gf,
    swav_imagenet_resnet50,
    swav_imagenet_resnet50_256,
    seer_recipes.seer_regnety_8gf,
    seer_recipes.seer_regnety_16gf,
    seer_recipes.seer_regnety_32gf,
    seer_recipes.seer_regnety_64gf,
    seer_recipes.seer_regnety_128gf,
    seer_recipes.seer_regnety_256gf,
    seer_recipes.seer_regnety_10b,
    seer_recipes.seer_ablation_small_head,
    seer_recipes.seer_ablation_large_head,
    seer_recipes.seer_ablation_3k_prototypes,
    seer_recipes.seer_ablation_crops_2x224,
    seer_recipes.seer_ablation_crops_6x160,
    seer_recipes.seer_ablation_crops_2x160_4x96,
    seer_recipes.seer_ablation_constant_then_halve,
    seer_recipes.seer_ablation_32m_images,
    seer_recipes.seer_ablation_length,
    seer_recipes.seer_ablation_resnet50,
    seer_recipes.seer_ablation_resnet101,
    seer_recipes.seer_ablation_resnext101_32x8d,
)


def recipe(name: str) -> Config:
    """Returns the config of a recipe, with the recipe's name in it.

    Raises:
        InputError: The recipe does not exist.
    """
    return find_recipe(RECIPES, name)


# The RegNet design (4, 32, 50, 2.0, 16): widths 32, 64, 128, 256 with one block each.
_SMALL = "90MF"


_SWAV_STD = (0.228, 0.224, 0.225)  # SwAV's `src/multicropdataset.py`


def _small_crops(*sizes_px: int) -> CropsConfig:
    """Returns two large and four small crops for images of 32 to 64 px, without blur, which would erase such images."""
    return CropsConfig(
        sizes_px=sizes_px,
        min_area_fractions=(0.4, 0.12),
        max_area_fractions=(1.0, 0.4),
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        blur_probability=0.0,
    )

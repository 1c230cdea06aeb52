"""Recipes: each function returns a whole config; its docstring has the sources of the numbers and expected results."""

import dataclasses

from seer_tf.config import (
    BackboneConfig,
    Config,
    CropsConfig,
    DataConfig,
    HeadConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    SwavConfig,
)
from seer_tf.config.recipes import by_name, find_recipe


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
        backbone=BackboneConfig(variant=_SMALL),
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
    """SwAV's small-batch setting (batch 256, K = 3,000, epsilon 0.05; SwAV, appendix A) on RegNetY-400MF.

    From the released script for batch 256: the learning rate goes from 0.6 to 0.0006 without a warm-up, prototypes are
    frozen for 5,005 steps, and after 15 epochs a queue of 3,840 embeddings is filled, which takes 15 steps. An epoch
    has 5,004 steps, because the last batch is dropped. Not run here: it needs ImageNet and days on a GPU.
    """
    epoch_steps = _IMAGENET_IMAGES // 256
    return Config(
        backbone=BackboneConfig(variant="400MF"),
        head=HeadConfig(hidden_dims=(2048,), embedding_dim=128, num_prototypes=3000),
        crops=CropsConfig(num=(2, 6)),
        swav=SwavConfig(freeze_prototypes_steps=5005, queue_length=3840, queue_start_step=15 * epoch_steps + 15),
        schedule=ScheduleConfig(peak_learning_rate=0.6, final_learning_rate=0.0006),
        run=RunConfig(num_steps=200 * epoch_steps, checkpoint_every_steps=epoch_steps),
    )


def swav_imagenet_16gf() -> Config:
    """SwAV on ImageNet with RegNetY-16GF as VISSL released it: 800 epochs, batch 4,096 on 64 GPUs, 2 x 224 + 6 x 96.

    Head 3024-3024-128 without batch norm and 3,000 prototypes (VISSL's `swav/models/regnet16Gf.yaml`); all else comes
    from VISSL's `swav_8node_resnet.yaml`. That file starts at a learning rate of 0.3, but VISSL replaces it by the rate
    of one node, 0.6. VISSL drops the last batch of an epoch, which leaves 312 steps. The warm-up takes ten epochs, and
    prototypes are frozen for 313 steps. Expect 76.15 % by a linear probe (VISSL's model zoo). Not run here.
    """
    epoch_steps = _IMAGENET_IMAGES // 4096
    return Config(
        data=DataConfig(global_batch_size=4096),
        backbone=BackboneConfig(variant="16GF"),
        head=HeadConfig(hidden_dims=(3024,), embedding_dim=128, batch_norm=False, num_prototypes=3000),
        crops=CropsConfig(num=(2, 6)),
        swav=SwavConfig(freeze_prototypes_steps=313),
        schedule=_vissl_schedule(4096, node_batch_size=8 * 64, warmup_steps=10 * epoch_steps),
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
    ten epochs, then a cosine begins. Batch norm is over the 8 GPUs of a node. SwAV's code divides red by 0.228, not
    0.229. Expect 75.3 % by a linear probe (SwAV, table 1). Not run here.
    """
    epoch_steps = _IMAGENET_IMAGES // 4096
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

    All numbers are those of `swav_imagenet_400mf`, which takes them from this script. Not run here.
    """
    config = swav_imagenet_400mf()
    crops = dataclasses.replace(config.crops, std=_SWAV_STD)
    return dataclasses.replace(config, backbone=BackboneConfig(variant="resnet50"), crops=crops)


def seer_regnety_8gf() -> Config:
    """SEER on RegNetY-8GF: the smallest network in the paper's scaling study; its weights were not released.

    The head is released (VISSL's `nearest_neighbor/models/seer/regnet8gf.yaml`). Batch, schedule and batch norm groups
    are not released; here they are the values of the 16GF.
    """
    return _seer("8GF", global_batch_size=4096, batch_norm_group_replicas=32)


def seer_regnety_16gf() -> Config:
    """SEER on RegNetY-16GF: batch 4,096 on 128 GPUs, one epoch of a billion images.

    The numbers come from the checkpoint's name in VISSL's `nearest_neighbor/models/seer/regnet16gf.yaml`. The name says
    "warmup2x" but not twice of what, so the warm-up is the paper's 8,000 steps.
    """
    return _seer("16GF", global_batch_size=4096, batch_norm_group_replicas=32)


def seer_regnety_32gf() -> Config:
    """SEER on RegNetY-32GF, like the 16GF: its checkpoint at 244,000 iterations is a billion images by batch 4,096.

    Expect 74.0 % on ImageNet by a linear probe on res5, 83.4 % fine-tuned at 384 px (VISSL's model zoo). Not run here.
    """
    return _seer("32GF", global_batch_size=4096, batch_norm_group_replicas=32)


def seer_regnety_64gf() -> Config:
    """SEER on RegNetY-64GF: from this size on the head is wider and has no batch norm (VISSL's `regnet64gf_3.yaml`).

    VISSL's documentation states batch and schedule for the whole family. Expect 75.3 % on ImageNet by a
    linear probe, 84.0 % fine-tuned at 384 px (VISSL's model zoo). Not run here.
    """
    return _seer("64GF", global_batch_size=8192, batch_norm_group_replicas=64)


def seer_regnety_128gf() -> Config:
    """SEER on RegNetY-128GF: batch 4,096 on 128 GPUs at a constant learning rate, as the checkpoint's name says.

    Expect 83.8 % on ImageNet fine-tuned (the paper, table 1), 76.0 % by a linear probe (VISSL's model zoo). Only single
    steps were run here.
    """
    config = _seer("128GF", global_batch_size=4096, batch_norm_group_replicas=64)
    return dataclasses.replace(config, schedule=dataclasses.replace(config.schedule, kind="constant"))


def seer_regnety_256gf() -> Config:
    """The paper's largest network: 1.3 billion parameters, batch 8,192 on 512 GPUs of 32 GB, a billion images, 8 days.

    The learning rate rises from 0.15 to 9.6 in 8,000 steps, then falls by a cosine to 0.0096 (the paper, section 3.2,
    and VISSL's `MODEL_DOCUMENTATION.md`). The number of activation checkpoints is unpublished; here each block is one.
    Expect 84.2 % on ImageNet fine-tuned (table 1), 77.9 % with a tenth of the labels (table 3). Not run here.
    """
    config = _seer("256GF", global_batch_size=8192, batch_norm_group_replicas=64)
    return dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, activation_checkpointing="block"))


def seer_regnety_10b() -> Config:
    """SEER's network of 10 billion parameters (2022): batch 7,936 on 496 GPUs of 40 GB (VISSL's `regnet10B.yaml`).

    Crops of 160 and 96 px go through the network in one pass, padded with zeros; epsilon is 0.03, and 5,500 steps warm
    up. Batch norm is in the groups of 8 that the configuration inherits. VISSL shards the weights over the devices, and
    this package does not: each device would have to hold all of them, which `plan_run` shows. Expect 85.8 % on ImageNet
    fine-tuned at 384 px, 79.8 % by a linear probe on res4 (VISSL's model zoo). Not run here.
    """
    config = _seer("10B", global_batch_size=7936, batch_norm_group_replicas=8)
    return dataclasses.replace(
        config,
        crops=CropsConfig(sizes_px=(160, 96), padded=True),
        backbone=dataclasses.replace(config.backbone, activation_checkpointing="stage"),
        swav=dataclasses.replace(config.swav, epsilon=0.03),
        schedule=dataclasses.replace(config.schedule, warmup_steps=5500),
    )


def seer_ablation_small_head() -> Config:
    """The paper's head ablation: one hidden layer of 2,048, 3,000 prototypes. The network is unknown; here the 16GF."""
    return dataclasses.replace(
        seer_regnety_16gf(), head=HeadConfig(hidden_dims=(2048,), embedding_dim=256, num_prototypes=3000)
    )


def seer_ablation_large_head() -> Config:
    """The counterpart of `seer_ablation_small_head`: 4096-4096-256 and 16,000 prototypes, as in all other ablations."""
    return seer_regnety_16gf()


def seer_ablation_3k_prototypes() -> Config:
    """The paper's ablation of the number of prototypes: the large head with 3,000 prototypes. Here on the 16GF."""
    config = seer_regnety_16gf()
    return dataclasses.replace(config, head=dataclasses.replace(config.head, num_prototypes=3000))


def seer_ablation_crops_2x224() -> Config:
    """Only two large crops, with 8 to 100 % of the area (VISSL's `pretrain/swav/transforms`). Here on the 16GF."""
    crops = CropsConfig(num=(2,), sizes_px=(224,), min_area_fractions=(0.08,), max_area_fractions=(1.0,))
    return dataclasses.replace(seer_regnety_16gf(), crops=crops)


def seer_ablation_crops_6x160() -> Config:
    """Six crops of one size; the first two assign codes (VISSL's `multicrop_6crop_6x160.yaml`). Here on the 16GF."""
    crops = CropsConfig(num=(6,), sizes_px=(160,), min_area_fractions=(0.14,), max_area_fractions=(1.0,))
    return dataclasses.replace(seer_regnety_16gf(), crops=crops)


def seer_ablation_crops_2x160_4x96() -> Config:
    """The smaller assigning crops of the 10B network (VISSL's `regnet10B.yaml`). Here on the 16GF."""
    return dataclasses.replace(seer_regnety_16gf(), crops=CropsConfig(num=(2, 4), sizes_px=(160, 96)))


def seer_ablation_constant_then_halve() -> Config:
    """The paper's learning rate for a stream of unknown length: constant, halved when the loss no longer falls.

    Losses are compared between windows of steps. The paper does not publish their length; here it is 2,000. Here on the
    16GF.
    """
    config = seer_regnety_16gf()
    schedule = dataclasses.replace(config.schedule, kind="constant_then_halve", halving_window_steps=2000)
    return dataclasses.replace(config, schedule=schedule)


def seer_ablation_32m_images() -> Config:
    """As many updates on 32 million images, 31 times each, as on a billion once: about as good (the paper).

    `data.num_images` takes any other part of the same data. The paper's network and other parts are not known; here on
    the 16GF.
    """
    config = seer_regnety_16gf()
    return dataclasses.replace(config, data=dataclasses.replace(config.data, num_images=32_000_000))


def seer_ablation_length() -> Config:
    """The number of updates: a constant learning rate, so that each checkpoint is a run of its length.

    Every 30,000 steps one is kept for good. Which lengths the paper compared is not known. Here on the 16GF.
    """
    config = seer_regnety_16gf()
    return dataclasses.replace(
        config,
        schedule=dataclasses.replace(config.schedule, kind="constant"),
        run=dataclasses.replace(config.run, keep_every_steps=30_000),
    )


def seer_ablation_resnet50() -> Config:
    """The paper's comparison of architectures: ResNet-50, trained as the RegNets are. No number of it is published."""
    return _on("resnet50")


def seer_ablation_resnet101() -> Config:
    """As `seer_ablation_resnet50`, with ResNet-101."""
    return _on("resnet101")


def seer_ablation_resnext101_32x8d() -> Config:
    """As `seer_ablation_resnet50`, with ResNeXt-101 32 x 8d, which has about the arithmetic of RegNetY-16GF."""
    return _on("resnext101_32x8d")


RECIPES = by_name(
    debug_tiny,
    demo,
    cifar10_small,
    cifar10,
    swav_imagenet_400mf,
    swav_imagenet_16gf,
    swav_imagenet_resnet50,
    swav_imagenet_resnet50_256,
    seer_regnety_8gf,
    seer_regnety_16gf,
    seer_regnety_32gf,
    seer_regnety_64gf,
    seer_regnety_128gf,
    seer_regnety_256gf,
    seer_regnety_10b,
    seer_ablation_small_head,
    seer_ablation_large_head,
    seer_ablation_3k_prototypes,
    seer_ablation_crops_2x224,
    seer_ablation_crops_6x160,
    seer_ablation_crops_2x160_4x96,
    seer_ablation_constant_then_halve,
    seer_ablation_32m_images,
    seer_ablation_length,
    seer_ablation_resnet50,
    seer_ablation_resnet101,
    seer_ablation_resnext101_32x8d,
)


def recipe(name: str) -> Config:
    """Returns the config of a recipe, with the recipe's name in it.

    Raises:
        InputError: The recipe does not exist.
    """
    return find_recipe(RECIPES, name)


_IMAGENET_IMAGES = 1_281_167

# The RegNet design (4, 32, 50, 2.0, 16): widths 32, 64, 128, 256 with one block each.
_SMALL = "90MF"


_SWAV_STD = (0.228, 0.224, 0.225)  # SwAV's `src/multicropdataset.py`


def _on(variant: str) -> Config:
    """Returns the config of the ablations on another network."""
    return dataclasses.replace(seer_regnety_16gf(), backbone=BackboneConfig(variant=variant))


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


def _seer(variant: str, *, global_batch_size: int, batch_norm_group_replicas: int) -> Config:
    """Returns the config that all SEER networks share: one epoch of a billion images that nobody selected.

    Two assigning crops of 224 px and four crops of 96 px, 16,000 prototypes, 10 Sinkhorn iterations, weight decay 1e-5,
    8,000 warm-up steps, float16. Temperature 0.1, epsilon 0.05 and 313 frozen steps come from SwAV, and no released
    configuration up to 256GF replaces them. The heads come from VISSL's `nearest_neighbor/models/seer`.
    """
    wide = variant in ("64GF", "128GF", "256GF", "10B")
    node_batch_size = 8 * (32 if global_batch_size == 4096 else 16)
    return Config(
        data=DataConfig(source="shards:DIR", global_batch_size=global_batch_size),
        backbone=BackboneConfig(variant=variant),
        head=HeadConfig(
            hidden_dims=(8192, 8192) if wide else (4096, 4096),
            embedding_dim=256,
            batch_norm=not wide,
            num_prototypes=16_000,
        ),
        swav=SwavConfig(sinkhorn_iterations=10),
        optimizer=OptimizerConfig(weight_decay=1e-5),
        schedule=_vissl_schedule(global_batch_size, node_batch_size=node_batch_size, warmup_steps=8000),
        run=RunConfig(
            num_steps=1_000_000_000 // global_batch_size,
            precision="mixed_float16",
            batch_norm_group_replicas=batch_norm_group_replicas,
            checkpoint_every_steps=1000,
        ),
    )


def _vissl_schedule(global_batch_size: int, *, node_batch_size: int, warmup_steps: int) -> ScheduleConfig:
    """Returns VISSL's schedule: the learning rate is 0.3 for every 256 images.

    The warm-up goes from the rate for the images of one node to the rate for the whole batch. Then a cosine goes down
    to 1 / 1000. VISSL's `resolve_linear_schedule` replaces the start in VISSL's files by the rate for one node.
    """
    peak = 0.3 * global_batch_size / 256
    return ScheduleConfig(
        kind="vissl_cosine",
        warmup_steps=warmup_steps,
        warmup_start_learning_rate=0.3 * node_batch_size / 256,
        peak_learning_rate=peak,
        final_learning_rate=peak / 1000,
        reference_batch_size=global_batch_size,
    )

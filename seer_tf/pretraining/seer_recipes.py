"""The recipes of SEER and of the ablations in its paper. Each function returns a whole config, as in `recipes.py`."""

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
        schedule=vissl_schedule(global_batch_size, node_batch_size=node_batch_size, warmup_steps=8000),
        run=RunConfig(
            num_steps=1_000_000_000 // global_batch_size,
            precision="mixed_float16",
            batch_norm_group_replicas=batch_norm_group_replicas,
            checkpoint_every_steps=1000,
        ),
    )


def vissl_schedule(global_batch_size: int, *, node_batch_size: int, warmup_steps: int) -> ScheduleConfig:
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


def _on(variant: str) -> Config:
    """Returns the config of the ablations on another network."""
    return dataclasses.replace(seer_regnety_16gf(), backbone=BackboneConfig(variant=variant))

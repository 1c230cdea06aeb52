"""Recipes of SimCLR: each function returns a whole config; its docstring has the sources of the numbers."""

import dataclasses

from seer_tf.config import BackboneConfig, CropsConfig, DataConfig, OptimizerConfig, RunConfig, ScheduleConfig
from seer_tf.config.recipes import by_name
from seer_tf.config.two_views import ProjectionConfig
from seer_tf.methods.simclr.config import SimclrConfig, SimclrSection

_EPOCH_STEPS = 1_281_167 // 4096


def simclr_imagenet_resnet50() -> SimclrConfig:
    """SimCLR's own ResNet-50 on ImageNet for 1,000 epochs.

    From the paper (arXiv 2002.05709): batch 4,096; LARS with 0.3 for every 256 images and weight decay 1e-6; ten
    epochs of warm-up, then a cosine to 0; a hidden layer as wide as the features of a ResNet-50, 2,048, and 128
    dimensions (sections 2.2 and 3); temperature 0.1 (table 5); crops of 8 to 100 %, jitter of strength 1, blur for half
    of the views (appendix A). From the released code: batch norm after both layers, momentum 0.9, trust coefficient
    0.001; neither scaling nor decay of batch norm and biases. There the last batch norm has no offset, the learning
    rate is inside the velocity, and the kernel of the blur is a tenth of the crop; here each is otherwise. Expect
    69.3 % by a linear probe (the paper). Not run here.
    """
    return SimclrConfig(
        data=DataConfig(global_batch_size=4096),
        backbone=BackboneConfig(variant="resnet50"),
        head=ProjectionConfig(hidden_dims=(2048,), embedding_dim=128, final_batch_norm=True),
        simclr=SimclrSection(temperature=0.1),
        optimizer=OptimizerConfig(weight_decay=1e-6),
        schedule=ScheduleConfig(warmup_steps=10 * _EPOCH_STEPS, peak_learning_rate=0.3, final_learning_rate=0.0),
        run=RunConfig(num_steps=1000 * _EPOCH_STEPS, checkpoint_every_steps=_EPOCH_STEPS),
    )


def simclr_imagenet_4gf() -> SimclrConfig:
    """The same on RegNetY-4GF, which has about the arithmetic of a ResNet-50. Not run here."""
    return dataclasses.replace(simclr_imagenet_resnet50(), backbone=BackboneConfig(variant="4GF"))


def simclr_v2_imagenet_resnet50() -> SimclrConfig:
    """SimCLRv2's head (arXiv 2006.10029, section 3): three layers, for 800 epochs; else as `simclr_imagenet_resnet50`.

    From the same section: weight decay 1e-4, and a learning rate of 0.1 times the root of the batch, which 5 % of the
    epochs warm up. The paper also keeps negatives in a memory for its largest networks, which is not done here. Not
    run here.
    """
    base = simclr_imagenet_resnet50()
    return dataclasses.replace(
        base,
        head=dataclasses.replace(base.head, hidden_dims=(2048, 2048)),
        optimizer=dataclasses.replace(base.optimizer, weight_decay=1e-4),
        schedule=ScheduleConfig(
            warmup_steps=40 * _EPOCH_STEPS,
            peak_learning_rate=0.1,
            final_learning_rate=0.0,
            reference_batch_size=1,
            batch_scaling="square_root",
        ),
        run=dataclasses.replace(base.run, num_steps=800 * _EPOCH_STEPS),
    )


def simclr_v2_imagenet_4gf() -> SimclrConfig:
    """The same on RegNetY-4GF. Not run here."""
    return dataclasses.replace(simclr_v2_imagenet_resnet50(), backbone=BackboneConfig(variant="4GF"))


def simclr_cifar10() -> SimclrConfig:
    """SimCLR on small images such as CIFAR-10's: 2,000 steps of 128 images.

    From the paper's appendix B.9: a stem of stride 1, jitter of strength 0.5, no blur, temperature 0.5, weight decay
    1e-6. Network and length are those of the recipe `cifar10_small`; the learning rate is by the paper's rule for small
    batches (appendix B.1), 0.075 times the root of the batch. Not tuned.
    """
    return SimclrConfig(
        data=DataConfig(global_batch_size=128),
        crops=CropsConfig(
            num=(2,),
            sizes_px=(32,),
            min_area_fractions=(0.2,),
            max_area_fractions=(1.0,),
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1,
            blur_probability=0.0,
        ),
        backbone=BackboneConfig(variant="90MF", stem_stride=1),
        head=ProjectionConfig(hidden_dims=(512,), embedding_dim=64),
        simclr=SimclrSection(temperature=0.5),
        schedule=ScheduleConfig(
            warmup_steps=100,
            peak_learning_rate=0.075,
            final_learning_rate=0.0,
            reference_batch_size=1,
            batch_scaling="square_root",
        ),
        run=RunConfig(num_steps=2000),
    )


RECIPES = by_name(
    simclr_imagenet_resnet50,
    simclr_imagenet_4gf,
    simclr_v2_imagenet_resnet50,
    simclr_v2_imagenet_4gf,
    simclr_cifar10,
)

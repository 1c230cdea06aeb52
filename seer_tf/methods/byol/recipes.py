"""Recipes of BYOL: each function returns a whole config; its docstring has the sources of the numbers."""

import dataclasses
import functools

from seer_tf.config import BackboneConfig, CropsConfig, DataConfig, OptimizerConfig, RunConfig, ScheduleConfig
from seer_tf.config.recipes import by_name, imagenet_steps
from seer_tf.config.two_views import ProjectionConfig
from seer_tf.methods.byol.config import ByolConfig, ByolSection

_steps = functools.partial(imagenet_steps, global_batch_size=4096)


def byol_imagenet_resnet50() -> ByolConfig:
    """BYOL's own ResNet-50 on ImageNet for 1,000 epochs.

    From the paper (arXiv 2006.07733): batch 4,096; LARS with 0.2 for every 256 images, ten epochs of warm-up, then a
    cosine; weight decay 1.5e-6, and neither scaling nor decay of batch norm and biases; projection and predictor with
    4,096 hidden units and 256 outputs; momentum from 0.996 to 1 (section 3.3). Crops of 8 to 100 %, bicubic; a blur of
    0.1 to 2 px; the first view is always blurred and never solarised, the second is blurred in a tenth and solarised in
    a fifth of all cases, from the middle of the levels on (appendix B, table 6).

    From the released code (deepmind-research/byol): momentum 0.9, trust coefficient 0.001, and the numbers of steps
    (configs/byol.py); a cosine to 0 (utils/schedules.py).

    There both networks draw weights of their own, the last linear layers have no bias, the last batch norm of each
    residual block begins with a scale of 0, and LARS divides by the norm of gradient and decay together. Brightness is
    added, contrast is around the mean of each channel, saturation is that of HSV, the kernel of the blur has 23 px, and
    the warm-up ends one step later. All of this differs here.

    Expect 74.3 % by a linear probe (the paper, table 1). Not run here.
    """
    return ByolConfig(
        data=DataConfig(global_batch_size=4096),
        crops=CropsConfig(
            num=(2,),
            sizes_px=(224,),
            min_area_fractions=(0.08,),
            max_area_fractions=(1.0,),
            interpolation="bicubic",
            brightness=0.4,
            contrast=0.4,
            saturation=0.2,
            hue=0.1,
            view_blur_probabilities=(1.0, 0.1),
            view_solarize_probabilities=(0.0, 0.2),
        ),
        backbone=BackboneConfig(variant="resnet50"),
        head=ProjectionConfig(hidden_dims=(4096,), embedding_dim=256),
        byol=ByolSection(predictor_dims=(4096,), momentum=0.996),
        optimizer=OptimizerConfig(weight_decay=1.5e-6),
        schedule=ScheduleConfig(warmup_steps=_steps(10), peak_learning_rate=0.2, final_learning_rate=0.0),
        run=RunConfig(num_steps=_steps(1000), checkpoint_every_steps=_steps(1)),
    )


def byol_imagenet_4gf() -> ByolConfig:
    """The same on RegNetY-4GF, which has about the arithmetic of a ResNet-50. Not run here."""
    return dataclasses.replace(byol_imagenet_resnet50(), backbone=BackboneConfig(variant="4GF"))


def byol_cifar10() -> ByolConfig:
    """BYOL on small images such as CIFAR-10's: 2,000 steps of 128 images.

    Network and length are those of the recipe `cifar10_small`; colours and solarisation are the paper's. A blur would
    erase such images, so there is none. The momentum is that of the released code for 300 epochs, 0.99
    (configs/byol.py), because the run is short. Chosen here: crops, heads, learning rate and warm-up. Not tuned.
    """
    return ByolConfig(
        data=DataConfig(global_batch_size=128),
        crops=CropsConfig(
            num=(2,),
            sizes_px=(32,),
            min_area_fractions=(0.2,),
            max_area_fractions=(1.0,),
            brightness=0.4,
            contrast=0.4,
            saturation=0.2,
            hue=0.1,
            blur_probability=0.0,
            view_solarize_probabilities=(0.0, 0.2),
        ),
        backbone=BackboneConfig(variant="90MF", stem_stride=1),
        head=ProjectionConfig(hidden_dims=(512,), embedding_dim=64),
        byol=ByolSection(predictor_dims=(512,), momentum=0.99),
        schedule=ScheduleConfig(
            warmup_steps=100, peak_learning_rate=2.0, final_learning_rate=0.0, reference_batch_size=128
        ),
        run=RunConfig(num_steps=2000),
    )


RECIPES = by_name(byol_imagenet_resnet50, byol_imagenet_4gf, byol_cifar10)

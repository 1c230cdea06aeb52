"""Recipes of MoCo v2: each function returns a whole config; its docstring has the sources of the numbers."""

import dataclasses

from seer_tf.config import BackboneConfig, CropsConfig, DataConfig, RunConfig, ScheduleConfig
from seer_tf.config.recipes import by_name
from seer_tf.config.two_views import PlainSgdConfig, ProjectionConfig
from seer_tf.methods.moco.config import MocoConfig, MocoSection

_EPOCH_STEPS = 1_281_167 // 256


def moco_v2_imagenet_resnet50() -> MocoConfig:
    """MoCo v2's own ResNet-50 on ImageNet for 800 epochs.

    From MoCo (arXiv 1911.05722, section 3.3) and the released code: batch 256, SGD with momentum 0.9 and weight decay
    1e-4 for all weights, a key encoder with momentum 0.999, a queue of 65,536 keys of 128 dimensions. From MoCo v2
    (arXiv 2003.04297): a hidden layer of 2,048 without batch norm, temperature 0.2, a blur for half of the views, and a
    cosine from 0.03 without a warm-up. From the released code: crops of 20 to 100 %, jitter 0.4, 0.4, 0.4 and 0.1.
    There the rate changes once in an epoch, here in each step; there the keys' images are shuffled over the devices,
    here batch norm is over all replicas. Expect 71.1 % by a linear probe (the paper). Not run here.
    """
    return MocoConfig(
        data=DataConfig(global_batch_size=256),
        crops=CropsConfig(
            num=(2,),
            sizes_px=(224,),
            min_area_fractions=(0.2,),
            max_area_fractions=(1.0,),
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1,
        ),
        backbone=BackboneConfig(variant="resnet50"),
        head=ProjectionConfig(hidden_dims=(2048,), embedding_dim=128, batch_norm=False),
        moco=MocoSection(temperature=0.2, momentum=0.999, queue_length=65_536),
        optimizer=PlainSgdConfig(momentum=0.9, weight_decay=1e-4),
        schedule=ScheduleConfig(peak_learning_rate=0.03, final_learning_rate=0.0),
        run=RunConfig(num_steps=800 * _EPOCH_STEPS, checkpoint_every_steps=_EPOCH_STEPS),
    )


def moco_v2_imagenet_4gf() -> MocoConfig:
    """The same on RegNetY-4GF, which has about the arithmetic of a ResNet-50. Not run here."""
    return dataclasses.replace(moco_v2_imagenet_resnet50(), backbone=BackboneConfig(variant="4GF"))


def moco_v2_cifar10() -> MocoConfig:
    """MoCo v2 on small images such as CIFAR-10's: 2,000 steps of 128 images.

    Network and length are those of the recipe `cifar10_small`. The queue, 4,096 keys, and the momentum, 0.99, are those
    of the notebook for CIFAR-10 that MoCo's authors published; so are the temperature, 0.1, the weight decay, 5e-4, and
    the learning rate, 0.06, which is for 512 images there. A blur would erase such images, so there is none. Not tuned.
    """
    base = moco_v2_imagenet_resnet50()
    return dataclasses.replace(
        base,
        data=DataConfig(global_batch_size=128),
        crops=dataclasses.replace(base.crops, sizes_px=(32,), blur_probability=0.0),
        backbone=BackboneConfig(variant="90MF", stem_stride=1),
        head=dataclasses.replace(base.head, hidden_dims=(512,), embedding_dim=64),
        moco=MocoSection(temperature=0.1, momentum=0.99, queue_length=4096),
        optimizer=PlainSgdConfig(momentum=0.9, weight_decay=5e-4),
        schedule=ScheduleConfig(
            warmup_steps=100, peak_learning_rate=0.06, final_learning_rate=0.0, reference_batch_size=128
        ),
        run=RunConfig(num_steps=2000),
    )


RECIPES = by_name(moco_v2_imagenet_resnet50, moco_v2_imagenet_4gf, moco_v2_cifar10)

"""Recipes of MoCo v2: each function returns a whole config; its docstring has the sources of the numbers."""

import dataclasses

from seer_tf.config import BackboneConfig, CropsConfig, DataConfig, RunConfig, ScheduleConfig
from seer_tf.config.recipes import IMAGENET_IMAGES, by_name
from seer_tf.config.two_views import PlainSgdConfig, ProjectionConfig
from seer_tf.methods.moco.config import MocoConfig, MocoSection

_EPOCH_STEPS = IMAGENET_IMAGES // 256


def moco_v2_imagenet_resnet50() -> MocoConfig:
    """MoCo v2's own ResNet-50 on ImageNet for 800 epochs.

    From MoCo (arXiv 1911.05722): batch 256, a learning rate of 0.03, SGD with momentum 0.9 and weight decay 1e-4
    (section 4); a key encoder with momentum 0.999 (section 3.2). From MoCo v2 (arXiv 2003.04297, section 3): a hidden
    layer of 2,048, temperature 0.2, a blur, a cosine, 800 epochs.

    From the released code (facebookresearch/moco): decay of all weights, a queue of 65,536 keys of 128 dimensions,
    crops of 20 to 100 %, jitter 0.4, 0.4, 0.4 and 0.1, a blur of 0.1 to 2 px for half of the views, no warm-up, and
    epochs without the last batch (main_moco.py); no batch norm in the head (moco/builder.py). There the rate changes
    once in an epoch, here in each step; there the keys' images are shuffled over the devices, here batch norm is over
    all replicas.

    Expect 71.1 % by a linear probe (README.md). Not run here.
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

    From the notebook that MoCo's authors published (colab/moco_cifar10_demo.ipynb): a queue of 4,096 keys, momentum
    0.99, temperature 0.1, weight decay 5e-4, the jitter, no blur, and a learning rate of 0.06, which is for 512 images
    there. Network and length are those of the recipe `cifar10_small`. Chosen here: crops from 20 % on, where the
    notebook has 8 %; the hidden layer, which the notebook does not have; the warm-up. Not tuned.
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

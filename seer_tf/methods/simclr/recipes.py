"""Recipes of SimCLR: each function returns a whole config; its docstring has the sources of the numbers."""

import dataclasses
import functools

from seer_tf.config import BackboneConfig, CropsConfig, DataConfig, OptimizerConfig, RunConfig, ScheduleConfig
from seer_tf.config.recipes import by_name, imagenet_steps
from seer_tf.config.two_views import ProjectionConfig
from seer_tf.methods.simclr.config import SimclrConfig, SimclrSection

_steps = functools.partial(imagenet_steps, global_batch_size=4096)


def simclr_imagenet_resnet50() -> SimclrConfig:
    """SimCLR's own ResNet-50 on ImageNet for 1,000 epochs.

    From the paper (arXiv 2002.05709): batch 4,096, LARS with 0.3 for every 256 images, weight decay 1e-6, ten epochs of
    warm-up, then a cosine, 128 dimensions (section 2.3); a hidden layer of 2,048 (section 4); temperature 0.1 (the best
    in table 5); 1,000 epochs (section 6); jitter of strength 1, and for half of the views a blur of 0.1 to 2 px
    (appendix A).

    From the released code (google-research/simclr): momentum 0.9 (run.py) and trust coefficient 0.001
    (lars_optimizer.py); batch norm after both layers, neither scaling nor decay of batch norm and biases, a cosine to
    0, and the numbers of steps (model_util.py); crops of 8 to 100 %, bicubic, with pixels from 0 to 1 (data_util.py).
    The weight decay and the depth of the head are those of its first version; the current one has SimCLRv2's.

    There the last batch norm has no offset, that of each residual block begins with a scale of 0, the learning rate is
    inside the velocity, and LARS divides by the norm of gradient and decay together. The loss is the sum over the two
    views, not the mean, so batch norm and biases move twice as fast, and weights decay half as much. Contrast and
    saturation are TensorFlow's, the kernel of the blur is a tenth of the crop, and the warm-up ends one step later.
    All of this differs here; colours change as in the paper's code for PyTorch (appendix A).

    Expect 69.3 % by a linear probe (the paper, table 6). Not run here.
    """
    return SimclrConfig(
        data=DataConfig(global_batch_size=4096),
        crops=CropsConfig(
            num=(2,),
            sizes_px=(224,),
            min_area_fractions=(0.08,),
            max_area_fractions=(1.0,),
            interpolation="bicubic",
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
        ),
        backbone=BackboneConfig(variant="resnet50"),
        head=ProjectionConfig(hidden_dims=(2048,), embedding_dim=128, final_batch_norm=True),
        simclr=SimclrSection(temperature=0.1),
        optimizer=OptimizerConfig(weight_decay=1e-6),
        schedule=ScheduleConfig(warmup_steps=_steps(10), peak_learning_rate=0.3, final_learning_rate=0.0),
        run=RunConfig(num_steps=_steps(1000) + 1, checkpoint_every_steps=_steps(1)),
    )


def simclr_imagenet_4gf() -> SimclrConfig:
    """The same on RegNetY-4GF, which has about the arithmetic of a ResNet-50. Not run here."""
    return dataclasses.replace(simclr_imagenet_resnet50(), backbone=BackboneConfig(variant="4GF"))


def simclr_v2_imagenet_resnet50() -> SimclrConfig:
    """SimCLRv2's head of three layers, for 800 epochs (arXiv 2006.10029); else as `simclr_imagenet_resnet50`.

    From the released code (google-research/simclr): three layers (run.py) and weight decay 1e-4 (run.py, README.md).
    The length was compared with a summary of the paper only. Not verified: a learning rate of 0.1 times the root of the
    batch, where README.md has 0.075, and a warm-up of 5 % of the epochs, where run.py has ten epochs. The paper also
    keeps 65,536 negatives in a memory, which is neither in the released code nor here. Expect 71.7 % by a linear probe
    (README.md). Not run here.
    """
    base = simclr_imagenet_resnet50()
    return dataclasses.replace(
        base,
        head=dataclasses.replace(base.head, hidden_dims=(2048, 2048)),
        optimizer=dataclasses.replace(base.optimizer, weight_decay=1e-4),
        schedule=ScheduleConfig(
            warmup_steps=_steps(40),
            peak_learning_rate=0.1,
            final_learning_rate=0.0,
            reference_batch_size=1,
            batch_scaling="square_root",
        ),
        run=dataclasses.replace(base.run, num_steps=_steps(800) + 1),
    )


def simclr_v2_imagenet_4gf() -> SimclrConfig:
    """The same on RegNetY-4GF. Not run here."""
    return dataclasses.replace(simclr_v2_imagenet_resnet50(), backbone=BackboneConfig(variant="4GF"))


def simclr_cifar10() -> SimclrConfig:
    """SimCLR on small images such as CIFAR-10's: 2,000 steps of 128 images.

    From the paper's appendix B.9: a stem of stride 1, jitter of strength 0.5, no blur, temperature 0.5, weight decay
    1e-6. The learning rate is by the paper's rule for small batches (appendix B.1), 0.075 times the root of the batch.
    Network and length are those of the recipe `cifar10_small`. Chosen here: crops from 20 % on, where the paper has
    8 %, bilinear and normalised; no batch norm after the last layer; the warm-up. Not tuned.
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

"""Named fine-tuning runs. Each docstring says where the numbers come from, and which numbers are not known."""

import dataclasses

from seer_tf.config.recipes import by_name, find_recipe
from seer_tf.finetuning.config import (
    ClassifierConfig,
    EpochScheduleConfig,
    FinetuneConfig,
    FinetuneRunConfig,
    LabelledDataConfig,
    SgdConfig,
    TransformConfig,
    distorted_crops,
    plain_crops,
)


def finetune_imagenet_224() -> FinetuneConfig:
    """The paper's fine-tuning on ImageNet: 35 epochs of SGD, batch 256, rate 0.0125 and then 0.00125, decay 1e-4.

    These numbers are from the paper. Three settings are less certain: the fall of the rate after 30 epochs, the
    momentum of 0.9, and SwAV's colours and blur. Nesterov momentum is from VISSL. The paper's resolution is not known;
    it is 224 or more. The paper reports 83.8 % for RegNetY-128GF and 84.2 % for 256GF (table 1). Not run here.
    """
    return FinetuneConfig(
        data=LabelledDataConfig(train="folder:TRAIN", test="folder:TEST"),
        crops=distorted_crops(224),
        optimizer=SgdConfig(weight_decay=1e-4),
    )


def finetune_imagenet_384() -> FinetuneConfig:
    """The same at 384 px, bicubic in training and test (VISSL's `tricks_384_swav.yaml`, which SEER's README names).

    SEER's README reports 83.4 % for RegNetY-32GF, 84.0 % for 64GF, 84.5 % for 128GF and 85.2 % for 256GF. The names of
    these checkpoints say that they were trained for 39 or 79 epochs. Their schedule is not known. Not run here.
    """
    base = finetune_imagenet_224()
    return dataclasses.replace(
        base,
        crops=dataclasses.replace(distorted_crops(384), interpolation="bicubic"),
        transform=TransformConfig(size_px=384, resize_px=384, interpolation="bicubic"),
    )


def low_shot_imagenet_1() -> FinetuneConfig:
    """1 % of ImageNet's labels. The paper reports 57.5 % for RegNetY-128GF and 60.5 % for 256GF. Not run here.

    The numbers are from VISSL's `semi_sup_fulltune.yaml`: 70 epochs, rate 0.05 for 256 images and a tenth of it from
    epoch 30 on, no decay, random crops and flips. The first layer of the head stays, with a new batch norm, as in
    VISSL's `*_swav_head` models. The values that the paper's sweep chose are not published. `data.subset_list` can name
    SimCLR's list of files; without it, a similar part is drawn.
    """
    return _low_shot(0.01)


def low_shot_imagenet_10() -> FinetuneConfig:
    """As `low_shot_imagenet_1`, with 10 %. The paper reports 76.7 % for RegNetY-128GF and 77.9 % for 256GF."""
    return _low_shot(0.1)


def low_shot_places205_1() -> FinetuneConfig:
    """1 % of Places205's labels, with the protocol of `low_shot_imagenet_1`, as in VISSL. Not run here.

    The paper shows the accuracies in a figure. They are about 2.5 % above those of supervised pretraining.
    """
    return _low_shot(0.01)


def low_shot_places205_5() -> FinetuneConfig:
    """As `low_shot_places205_1`, with 5 %."""
    return _low_shot(0.05)


def low_shot_places205_10() -> FinetuneConfig:
    """As `low_shot_places205_1`, with 10 %."""
    return _low_shot(0.1)


def low_shot_places205_20() -> FinetuneConfig:
    """As `low_shot_places205_1`, with 20 %."""
    return _low_shot(0.2)


def low_shot_places205_50() -> FinetuneConfig:
    """As `low_shot_places205_1`, with 50 %."""
    return _low_shot(0.5)


def finetune_small() -> FinetuneConfig:
    """For images of about 32 px and networks with a few hundred thousand weights. It takes minutes on a CPU.

    Its values were tried here on CIFAR-10 and on the built-in images (`docs/lab/results.md`).
    """
    crops = dataclasses.replace(plain_crops(32), min_area_fractions=(0.4,))
    return FinetuneConfig(
        data=LabelledDataConfig(global_batch_size=64),
        crops=crops,
        transform=TransformConfig(size_px=32, resize_px=32),
        optimizer=SgdConfig(weight_decay=1e-4),
        schedule=EpochScheduleConfig(
            kind="cosine", num_epochs=20.0, peak_learning_rate=0.05, step_epochs=(), reference_batch_size=64
        ),
        run=FinetuneRunConfig(log_every_steps=20, checkpoint_every_steps=200),
    )


RECIPES = by_name(
    finetune_imagenet_224,
    finetune_imagenet_384,
    low_shot_imagenet_1,
    low_shot_imagenet_10,
    low_shot_places205_1,
    low_shot_places205_5,
    low_shot_places205_10,
    low_shot_places205_20,
    low_shot_places205_50,
    finetune_small,
)


def recipe(name: str) -> FinetuneConfig:
    """Returns the config of a recipe, with the recipe's name in it.

    Raises:
        InputError: The recipe does not exist.
    """
    return find_recipe(RECIPES, name)


def _low_shot(fraction: float) -> FinetuneConfig:
    return FinetuneConfig(
        data=LabelledDataConfig(train="folder:TRAIN", test="folder:TEST", fraction=fraction),
        crops=plain_crops(224),
        classifier=ClassifierConfig(keep_first_head_layer=True),
        schedule=EpochScheduleConfig(num_epochs=70.0, peak_learning_rate=0.05),
    )

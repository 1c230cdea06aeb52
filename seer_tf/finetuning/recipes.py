"""Named fine-tuning runs. Each docstring says where the numbers come from, and which numbers are not known."""

import dataclasses

from seer_tf.config import CropsConfig
from seer_tf.config.recipes import by_name, find_recipe
from seer_tf.finetuning.config import (
    ClassifierConfig,
    EpochScheduleConfig,
    FinetuneConfig,
    FinetuneRunConfig,
    LabelledDataConfig,
    MixingConfig,
    SgdConfig,
    TransformConfig,
    distorted_crops,
    plain_crops,
)


def finetune_imagenet_224() -> FinetuneConfig:
    """The paper's fine-tuning on ImageNet: 35 epochs of SGD, batch 256, rate 0.0125 and then 0.00125, decay 1e-4.

    These numbers are from the paper. Three settings are less certain: the fall of the rate after 30 epochs, the
    momentum of 0.9, and SwAV's colours and blur. Nesterov momentum is from VISSL. The paper's resolution is unknown; it
    is 224 or more. The paper reports 83.8 % for RegNetY-128GF and 84.2 % for 256GF (table 1). Not run here.
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
    return _at_384_px(finetune_imagenet_224(), distorted_crops(384))


def finetune_inat18_224() -> FinetuneConfig:
    """VISSL's fine-tuning on iNaturalist 2018: 24 epochs, rate 0.1 for 256 images, a tenth of it after 7, 14 and 21.

    From `fulltune/inaturalist/eval_resnet_8gpu_transfer_inat18_fulltune.yaml`: no decay, random crops and flips. The
    paper's own settings for iNaturalist are unknown; its table has only linear classifiers. Not run here.
    """
    return _fulltune(24.0, 7.0, 14.0, 21.0)


def finetune_inat18_384() -> FinetuneConfig:
    """The same at 384 px, by the one configuration that VISSL has for it: `res384_infer384_mixup_cosine.yaml`.

    Bicubic crops and flips, every crop's brightness, contrast, saturation and hue changed by up to 0.4, mixup of 0.1,
    labels smoothed by 0.1. The name asks for a cosine, and `cosine_schedule.yaml` goes from 0.1 to 1e-7 in 24 epochs
    at any batch. Expect 79.1 % from RegNetY-32GF, 80.0 % from 64GF, 82.6 % from 128GF, 83.9 % from 256GF (SEER's
    README). It is likely that these numbers come from this configuration, but no source says so. Not run here.
    """
    return dataclasses.replace(
        _at_384_px(finetune_inat18_224(), _jittered_crops(384)),
        mixing=MixingConfig(mixup_alpha=0.1, label_smoothing=0.1),
        schedule=EpochScheduleConfig(
            kind="cosine", num_epochs=24.0, peak_learning_rate=0.1, step_epochs=(), final_learning_rate=1e-7
        ),
    )


def finetune_places205_224() -> FinetuneConfig:
    """VISSL's fine-tuning on Places205: 105 epochs, rate 0.1 for 256 images, a tenth of it after 30, 60, 90 and 100.

    From `fulltune/places205/eval_resnet_8gpu_transfer_places205_fulltune.yaml`: no decay, random crops and flips. Not
    run here.
    """
    return _fulltune(105.0, 30.0, 60.0, 90.0, 100.0)


def finetune_places205_384() -> FinetuneConfig:
    """The same at 384 px, bicubic, with SwAV's colours and blur (`fulltune/places205/transforms/tricks_384_swav.yaml`).

    Expect 67.5 % from RegNetY-32GF, 67.4 % from 64GF, 67.5 % from 128GF, 67.7 % from 256GF (SEER's README, which does
    not name the schedule). Not run here.
    """
    return _at_384_px(finetune_places205_224(), distorted_crops(384))


def finetune_im2gps_224() -> FinetuneConfig:
    """VISSL's geolocalisation: 15 epochs on photos that are labelled with one of 3,297 cells of the Earth's surface.

    From `fulltune/im2gps_yfcc/eval_resnet_8gpu_transfer_im2gps_fulltune.yaml`: rate 0.1 for 256 images, a tenth of it
    after 4, 8, 12, 13 and 14 epochs, decay 1e-4, random crops and flips; the shorter side of test images becomes 224
    px. SEER's README reports how many images of Im2GPS are placed within 1 to 2,500 km; the evaluation
    `geolocation` measures this. Not run here.
    """
    config = _fulltune(15.0, 4.0, 8.0, 12.0, 13.0, 14.0)
    return dataclasses.replace(
        config,
        transform=TransformConfig(size_px=224, resize_px=224),
        optimizer=dataclasses.replace(config.optimizer, weight_decay=1e-4),
    )


def finetune_transfer_224() -> FinetuneConfig:
    """VISSL's fine-tuning on Stanford Cars, CIFAR-10 and Oxford Flowers (`fulltune/{cars,cifar10,flowers}`).

    The three configurations agree with that of Places205. We know no numbers of SEER for them. Not run here.
    """
    return finetune_places205_224()


def supervised_imagenet() -> FinetuneConfig:
    """Training on ImageNet's labels from fresh weights: the baseline beside self-supervised pretraining.

    VISSL's `pretrain/supervised/supervised_8gpu_regnety.yaml`, which is for RegNetY-16GF: 100 epochs of batch 256, the
    rate from 0.1 to 0.2 in 5 epochs, then a cosine to 0, weight decay of 5e-5 on everything, every crop's brightness,
    contrast, saturation and hue changed by up to 0.4. `run.init_from` names a network for its architecture alone.
    Another program trained the supervised networks in the paper's tables, with unknown settings: VISSL's model zoo
    gives 80.55 % for its RegNetY-64GF and 80.57 % for 128GF. Not run here.
    """
    return FinetuneConfig(
        data=LabelledDataConfig(train="folder:TRAIN", test="folder:TEST"),
        crops=_jittered_crops(224),
        classifier=ClassifierConfig(untrained=True),
        optimizer=SgdConfig(weight_decay=5e-5, decay_batch_norm=True),
        schedule=EpochScheduleConfig(
            kind="cosine",
            num_epochs=100.0,
            peak_learning_rate=0.2,
            warmup_epochs=5.0,
            warmup_start_learning_rate=0.1,
            step_epochs=(),
        ),
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


def low_shot_places205_100() -> FinetuneConfig:
    """As `low_shot_places205_1` with all labels, the right end of the paper's figure."""
    return _low_shot(1.0)


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
    finetune_inat18_224,
    finetune_inat18_384,
    finetune_places205_224,
    finetune_places205_384,
    finetune_im2gps_224,
    finetune_transfer_224,
    supervised_imagenet,
    low_shot_imagenet_1,
    low_shot_imagenet_10,
    low_shot_places205_1,
    low_shot_places205_5,
    low_shot_places205_10,
    low_shot_places205_20,
    low_shot_places205_50,
    low_shot_places205_100,
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


def _fulltune(num_epochs: float, *step_epochs: float) -> FinetuneConfig:
    """VISSL's `fulltune` at 224 px; batch 256 is 8 devices of 32 images."""
    return FinetuneConfig(
        data=LabelledDataConfig(train="folder:TRAIN", test="folder:TEST"),
        schedule=EpochScheduleConfig(num_epochs=num_epochs, peak_learning_rate=0.1, step_epochs=step_epochs),
    )


def _at_384_px(config: FinetuneConfig, crops: CropsConfig) -> FinetuneConfig:
    return dataclasses.replace(
        config,
        crops=dataclasses.replace(crops, interpolation="bicubic"),
        transform=TransformConfig(size_px=384, resize_px=384, interpolation="bicubic"),
    )


def _jittered_crops(size_px: int) -> CropsConfig:
    """Returns plain crops whose colours change as in torchvision's `ColorJitter(0.4, 0.4, 0.4, 0.4)`."""
    return dataclasses.replace(
        plain_crops(size_px), color_jitter_probability=1.0, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4
    )

"""The recipes of fine-tuning have the numbers of their sources.

The sources are VISSL's files (V) and the SEER paper (P). M marks a number that is likely but not certain.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest

from seer_tf.config import validate
from seer_tf.finetuning.recipes import RECIPES, recipe
from seer_tf.finetuning.schedules import epoch_schedule
from tests.references import schedules
from tests.references.schedules import Launch

# V: all classification benchmarks have SGD with Nesterov momentum, 8 devices with 32 images, and rates for 256 images.
SHARED: dict[str, Any] = {
    "data.fraction": 1.0,
    "data.global_batch_size": 256,
    "optimizer.momentum": 0.9,
    "optimizer.nesterov": True,
    "optimizer.weight_decay": 0.0,
    "optimizer.decay_batch_norm": False,
    "optimizer.layer_decay": 1.0,
    "optimizer.classifier_rate_factor": 1.0,
    "schedule.kind": "steps",
    "schedule.step_factor": 0.1,
    "schedule.reference_batch_size": 256,
    "schedule.warmup_epochs": 0.0,
    "schedule.final_learning_rate": 0.0,
    "classifier.untrained": False,
    "classifier.keep_first_head_layer": False,
    "mixing.mixup_alpha": 0.0,
    "mixing.label_smoothing": 0.0,
}
# torchvision's RandomResizedCrop(224) and RandomHorizontalFlip, and for tests Resize(256) and CenterCrop(224).
AT_224: dict[str, Any] = {
    "crops.num": (1,),
    "crops.sizes_px": (224,),
    "crops.min_area_fractions": (0.08,),
    "crops.max_area_fractions": (1.0,),
    "crops.interpolation": "bilinear",
    "crops.flip_probability": 0.5,
    "crops.color_jitter_probability": 0.0,
    "crops.grayscale_probability": 0.0,
    "crops.blur_probability": 0.0,
    "transform.size_px": 224,
    "transform.resize_px": 256,
    "transform.interpolation": "bilinear",
}
# V: tricks_384_swav.yaml. Its interpolation 3 is bicubic.
AT_384: dict[str, Any] = {
    **AT_224,
    "crops.sizes_px": (384,),
    "crops.interpolation": "bicubic",
    "transform.size_px": 384,
    "transform.resize_px": 384,
    "transform.interpolation": "bicubic",
}
# V: ImgPilColorDistortion with strength 1, and ImgPilGaussianBlur.
DISTORTED: dict[str, Any] = {
    "crops.color_jitter_probability": 0.8,
    "crops.brightness": 0.8,
    "crops.contrast": 0.8,
    "crops.saturation": 0.8,
    "crops.hue": 0.2,
    "crops.grayscale_probability": 0.2,
    "crops.blur_probability": 0.5,
    "crops.blur_min_sigma_px": 0.1,
    "crops.blur_max_sigma_px": 2.0,
}
# V: ColorJitter. torchvision applies it to every image.
JITTERED: dict[str, Any] = {
    "crops.color_jitter_probability": 1.0,
    "crops.brightness": 0.4,
    "crops.contrast": 0.4,
    "crops.saturation": 0.4,
    "crops.hue": 0.4,
}
# P: 35 epochs, rate 0.0125 and then 0.00125, decay 1e-4. M: the rate falls after 30 epochs, and the colours are SwAV's.
PAPER: dict[str, Any] = {
    **DISTORTED,
    "optimizer.weight_decay": 1e-4,
    "schedule.num_epochs": 35.0,
    "schedule.peak_learning_rate": 0.0125,
    "schedule.step_epochs": (30.0,),
}
# V fulltune/inaturalist/eval_resnet_8gpu_transfer_inat18_fulltune.yaml
INAT: dict[str, Any] = {
    "schedule.num_epochs": 24.0,
    "schedule.peak_learning_rate": 0.1,
    "schedule.step_epochs": (7.0, 14.0, 21.0),
}
# V fulltune/places205/eval_resnet_8gpu_transfer_places205_fulltune.yaml
PLACES: dict[str, Any] = {
    "schedule.num_epochs": 105.0,
    "schedule.peak_learning_rate": 0.1,
    "schedule.step_epochs": (30.0, 60.0, 90.0, 100.0),
}
# V semi_supervised/{imagenet1k,places205}/eval_resnet_8gpu_transfer_*_semi_sup_fulltune.yaml, models/*_swav_head.yaml
LOW_SHOT: dict[str, Any] = {
    **SHARED,
    **AT_224,
    "schedule.num_epochs": 70.0,
    "schedule.peak_learning_rate": 0.05,
    "schedule.step_epochs": (30.0,),
    "classifier.keep_first_head_layer": True,
}

EXPECTED: dict[str, dict[str, Any]] = {
    "finetune_imagenet_224": {**SHARED, **AT_224, **PAPER},
    "finetune_imagenet_384": {**SHARED, **AT_384, **PAPER},
    "finetune_inat18_224": {**SHARED, **AT_224, **INAT},
    # V fulltune/inaturalist/transforms/res384_infer384_mixup_cosine.yaml, optimization/cosine_schedule.yaml
    "finetune_inat18_384": {
        **SHARED,
        **AT_384,
        **JITTERED,
        "mixing.mixup_alpha": 0.1,
        "mixing.cutmix_alpha": 0.0,
        "mixing.label_smoothing": 0.1,
        "schedule.kind": "cosine",
        "schedule.num_epochs": 24.0,
        "schedule.peak_learning_rate": 0.1,
        "schedule.final_learning_rate": 1e-7,
    },
    "finetune_places205_224": {**SHARED, **AT_224, **PLACES},
    "finetune_places205_384": {**SHARED, **AT_384, **DISTORTED, **PLACES},
    # V fulltune/im2gps_yfcc/eval_resnet_8gpu_transfer_im2gps_fulltune.yaml
    "finetune_im2gps_224": {
        **SHARED,
        **AT_224,
        "transform.resize_px": 224,
        "optimizer.weight_decay": 1e-4,
        "schedule.num_epochs": 15.0,
        "schedule.peak_learning_rate": 0.1,
        "schedule.step_epochs": (4.0, 8.0, 12.0, 13.0, 14.0),
    },
    # V fulltune/{cars,cifar10,flowers}/eval_resnet_8gpu_transfer_*_fulltune.yaml
    "finetune_transfer_224": {**SHARED, **AT_224, **PLACES},
    # V pretrain/supervised/supervised_8gpu_regnety.yaml
    "supervised_imagenet": {
        **SHARED,
        **AT_224,
        **JITTERED,
        "classifier.untrained": True,
        "optimizer.weight_decay": 5e-5,
        "optimizer.decay_batch_norm": True,
        "schedule.kind": "cosine",
        "schedule.num_epochs": 100.0,
        "schedule.peak_learning_rate": 0.2,
        "schedule.warmup_epochs": 5.0,
        "schedule.warmup_start_learning_rate": 0.1,
    },
    "low_shot_imagenet_1": {**LOW_SHOT, "data.fraction": 0.01},
    "low_shot_imagenet_10": {**LOW_SHOT, "data.fraction": 0.1},
    # P: 1, 5, 10, 20, 50 and 100 %, as in the figure.
    **{f"low_shot_places205_{part}": {**LOW_SHOT, "data.fraction": part / 100} for part in (1, 5, 10, 20, 50, 100)},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_recipe_has_the_numbers_of_its_source(name: str) -> None:
    config = dataclasses.asdict(validate(recipe(name)))
    found = {path: config[path.split(".")[0]][path.split(".")[1]] for path in EXPECTED[name]}
    assert found == EXPECTED[name]


def test_every_recipe_of_a_paper_is_compared() -> None:
    assert set(RECIPES) - {"finetune_small"} == set(EXPECTED)


def test_rates_of_supervised_training_equal_vissls() -> None:
    """VISSL composes a rescaled linear warm-up and a fixed cosine. The batch does not scale these rates."""
    config = recipe("supervised_imagenet")
    launch = Launch(num_nodes=1, images_per_gpu=32, num_images=1280, num_epochs=100)
    schedule = epoch_schedule(config.schedule, launch.num_steps, launch.global_batch_size)
    expected = schedules.vissl_cosine(launch.num_steps, launch.num_steps // 20, 0.1, 0.2, 0.0)
    np.testing.assert_allclose([schedule(step) for step in range(launch.num_steps)], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "values", "milestones"),
    [
        ("finetune_inat18_224", [0.1, 0.01, 0.001, 0.0001], [7, 14, 21]),
        ("finetune_places205_224", [0.1, 0.01, 0.001, 0.0001, 0.00001], [30, 60, 90, 100]),
    ],
)
def test_rates_of_fine_tuning_equal_vissls(name: str, values: list[float], milestones: list[int]) -> None:
    config = recipe(name)
    launch = Launch(num_nodes=2, images_per_gpu=32, num_images=5120, num_epochs=int(config.schedule.num_epochs))
    file = {"name": "multistep", "values": values, "milestones": milestones}
    resolved = launch.resolve(file, base_value=0.1)
    schedule = epoch_schedule(config.schedule, launch.num_steps, launch.global_batch_size)
    passed = np.searchsorted(resolved["milestones"], np.arange(launch.num_epochs), side="right")
    per_epoch = launch.num_steps // launch.num_epochs
    found = [float(schedule(step)) for step in range(launch.num_steps)]
    np.testing.assert_allclose(found, np.repeat(np.array(resolved["values"])[passed], per_epoch), rtol=1e-5)

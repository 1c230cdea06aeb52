"""The recipes of the papers have the numbers of their sources.

The sources are VISSL's files (V), the SEER paper (P), and SwAV's paper and scripts (S).
"""

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import Config, validate
from seer_tf.models.backbones.registry import backbone_cost
from seer_tf.optimizers.schedules import learning_rate_schedule
from seer_tf.pretraining.recipes import RECIPES, recipe
from tests.references import schedules
from tests.references.schedules import Launch

# Shared by all networks of SEER (P 3.1, 3.2; V swav_8node_resnet.yaml, multicrop_6crop_2x224_4x96.yaml).
SEER: dict[str, Any] = {
    "crops.num": (2, 4),
    "crops.sizes_px": (224, 96),
    "crops.min_area_fractions": (0.14, 0.05),
    "crops.max_area_fractions": (1.0, 0.14),
    "crops.flip_probability": 0.5,
    "crops.color_jitter_probability": 0.8,
    "crops.brightness": 0.8,
    "crops.contrast": 0.8,
    "crops.saturation": 0.8,
    "crops.hue": 0.2,
    "crops.grayscale_probability": 0.2,
    "crops.blur_probability": 0.5,
    "crops.blur_min_sigma_px": 0.1,
    "crops.blur_max_sigma_px": 2.0,
    "crops.mean": (0.485, 0.456, 0.406),
    "crops.std": (0.229, 0.224, 0.225),
    "backbone.stem_stride": 2,
    "head.embedding_dim": 256,
    "head.num_prototypes": 16000,
    "swav.temperature": 0.1,
    "swav.epsilon": 0.05,
    "swav.sinkhorn_iterations": 10,
    "swav.num_assigning_crops": 2,
    "swav.freeze_prototypes_steps": 313,
    "swav.queue_length": 0,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 1e-5,
    "optimizer.trust_coefficient": 0.001,
    "optimizer.epsilon": 1e-8,
    "schedule.warmup_steps": 8000,
    "run.precision": "mixed_float16",
}

# Heads: V nearest_neighbor/models/seer/*.yaml. Batch, schedule and groups: the names of the checkpoints.
SMALLER: dict[str, Any] = {
    "head.hidden_dims": (4096, 4096),
    "head.batch_norm": True,
    "data.global_batch_size": 4096,
    "schedule.kind": "vissl_cosine",
    "schedule.warmup_start_learning_rate": 0.3,
    "schedule.peak_learning_rate": 4.8,
    "schedule.final_learning_rate": 0.0048,
    "run.batch_norm_group_replicas": 32,
    "run.num_steps": 244_140,
}
LARGER: dict[str, Any] = {
    "head.hidden_dims": (8192, 8192),
    "head.batch_norm": False,
    "data.global_batch_size": 8192,
    "schedule.kind": "vissl_cosine",
    "schedule.warmup_start_learning_rate": 0.15,
    "schedule.peak_learning_rate": 9.6,
    "schedule.final_learning_rate": 0.0096,
    "run.batch_norm_group_replicas": 64,
    "run.num_steps": 122_070,
}
CONSTANT_4096 = {
    name: SMALLER[name]
    for name in ("data.global_batch_size", "schedule.warmup_start_learning_rate", "schedule.peak_learning_rate")
} | {"schedule.kind": "constant", "schedule.final_learning_rate": 0.0048, "run.num_steps": 244_140}

EXPECTED: dict[str, dict[str, Any]] = {
    "seer_regnety_8gf": {**SEER, **SMALLER, "backbone.variant": "8GF"},
    "seer_regnety_16gf": {**SEER, **SMALLER, "backbone.variant": "16GF"},
    "seer_regnety_32gf": {**SEER, **SMALLER, "backbone.variant": "32GF"},
    "seer_regnety_64gf": {**SEER, **LARGER, "backbone.variant": "64GF"},
    "seer_regnety_128gf": {**SEER, **LARGER, **CONSTANT_4096, "backbone.variant": "128GF"},
    "seer_regnety_256gf": {
        **SEER,
        **LARGER,
        "backbone.variant": "256GF",
        "backbone.activation_checkpointing": "block",
    },
    # V pretrain/seer/models/regnet10B.yaml
    "seer_regnety_10b": {
        **SEER,
        **LARGER,
        "backbone.variant": "10B",
        "backbone.activation_checkpointing": "stage",
        "crops.sizes_px": (160, 96),
        "crops.padded": True,
        "swav.epsilon": 0.03,
        "data.global_batch_size": 7936,
        "schedule.warmup_steps": 5500,
        "schedule.peak_learning_rate": 9.3,
        "schedule.final_learning_rate": 0.0093,
        "run.batch_norm_group_replicas": 8,
        "run.num_steps": 126_008,
    },
    "swav_imagenet_16gf": {
        **SEER,
        **SMALLER,
        "backbone.variant": "16GF",
        "crops.num": (2, 6),
        "head.hidden_dims": (3024,),
        "head.embedding_dim": 128,
        "head.batch_norm": False,
        "head.num_prototypes": 3000,
        "swav.sinkhorn_iterations": 3,
        "optimizer.weight_decay": 1e-6,
        "schedule.warmup_steps": 3120,
        "schedule.warmup_start_learning_rate": 0.6,
        "run.batch_norm_group_replicas": 8,
        "run.num_steps": 249_600,
    },
}

# S scripts/swav_800ep_pretrain.sh, src/multicropdataset.py, main_swav.py
EXPECTED["swav_imagenet_resnet50"] = {
    **EXPECTED["swav_imagenet_16gf"],
    "backbone.variant": "resnet50",
    "crops.std": (0.228, 0.224, 0.225),
    "head.hidden_dims": (2048,),
    "head.batch_norm": True,
    "schedule.kind": "swav_cosine",
    "schedule.warmup_start_learning_rate": 0.3,
}

# P, ablations: the only changes to the SEER recipe for RegNetY-16GF.
ABLATIONS: dict[str, dict[str, Any]] = {
    "seer_ablation_small_head": {"head.hidden_dims": (2048,), "head.num_prototypes": 3000},
    "seer_ablation_large_head": {},
    "seer_ablation_3k_prototypes": {"head.num_prototypes": 3000},
    "seer_ablation_crops_2x224": {
        "crops.num": (2,),
        "crops.sizes_px": (224,),
        "crops.min_area_fractions": (0.08,),
        "crops.max_area_fractions": (1.0,),
    },
    "seer_ablation_crops_6x160": {
        "crops.num": (6,),
        "crops.sizes_px": (160,),
        "crops.min_area_fractions": (0.14,),
        "crops.max_area_fractions": (1.0,),
    },
    "seer_ablation_crops_2x160_4x96": {"crops.sizes_px": (160, 96)},
    "seer_ablation_constant_then_halve": {
        "schedule.kind": "constant_then_halve",
        "schedule.halving_window_steps": 2000,
    },
    "seer_ablation_32m_images": {"data.num_images": 32_000_000},
    "seer_ablation_length": {"schedule.kind": "constant", "run.keep_every_steps": 30_000},
    "seer_ablation_resnet50": {"backbone.variant": "resnet50"},
    "seer_ablation_resnet101": {"backbone.variant": "resnet101"},
    "seer_ablation_resnext101_32x8d": {"backbone.variant": "resnext101_32x8d"},
}
EXPECTED |= {name: {**EXPECTED["seer_regnety_16gf"], **change} for name, change in ABLATIONS.items()}


def field(config: Config, path: str) -> Any:
    section, name = path.split(".")
    return getattr(getattr(config, section), name)


@pytest.mark.parametrize("name", EXPECTED)
def test_recipe_has_the_numbers_of_its_source(name: str) -> None:
    config = validate(recipe(name))
    found = {path: field(config, path) for path in EXPECTED[name]}
    assert {path: found[path] for path in found if not same(found[path], EXPECTED[name][path])} == {}
    assert config.schedule.reference_batch_size == config.data.global_batch_size
    assert backbone_cost(config.backbone).weight_sizes


def same(found: Any, expected: Any) -> bool:
    return found == pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else found == expected


def test_every_recipe_of_a_paper_is_compared() -> None:
    ours = {"debug_tiny", "demo", "cifar10_small", "cifar10", "swav_imagenet_400mf", "swav_imagenet_resnet50_256"}
    assert set(RECIPES) - ours == set(EXPECTED)


@pytest.mark.parametrize("name", ["swav_imagenet_400mf", "swav_imagenet_resnet50_256"])
def test_swavs_setting_for_small_batches_has_the_scripts_numbers(name: str) -> None:
    config = recipe(name)  # S: scripts/swav_200ep_bs256_pretrain.sh
    assert (config.data.global_batch_size, config.head.num_prototypes, config.swav.epsilon) == (256, 3000, 0.05)
    assert (config.schedule.peak_learning_rate, config.schedule.final_learning_rate) == (0.6, 0.0006)
    assert config.swav.freeze_prototypes_steps == 5005 and config.run.precision == "mixed_float16"
    assert (config.swav.queue_length, config.swav.queue_start_step) == (3840, 75_075)


# V swav_8node_resnet.yaml, which SEER's configurations inherit. The name of a checkpoint says "constant".
WARMUP = {"name": "linear", "start_value": 0.3, "end_value": 4.8}
COSINE = {"name": "cosine", "start_value": 4.8, "end_value": 0.0048}
CONSTANT = {"name": "constant", "value": 4.8}

IMAGENET, BILLION = 1_281_167, 1_000_000_000
SMALLER_LAUNCH = Launch(num_nodes=16, images_per_gpu=32, num_images=BILLION, num_epochs=1)
LARGER_LAUNCH = Launch(num_nodes=64, images_per_gpu=16, num_images=BILLION, num_epochs=1)
LAUNCHES: dict[str, Launch] = {
    "seer_regnety_8gf": SMALLER_LAUNCH,
    "seer_regnety_16gf": SMALLER_LAUNCH,
    "seer_regnety_32gf": SMALLER_LAUNCH,
    "seer_regnety_64gf": LARGER_LAUNCH,
    "seer_regnety_128gf": SMALLER_LAUNCH,
    "seer_regnety_256gf": LARGER_LAUNCH,
    "seer_regnety_10b": Launch(num_nodes=62, images_per_gpu=16, num_images=BILLION, num_epochs=1),
    "swav_imagenet_16gf": Launch(num_nodes=8, images_per_gpu=64, num_images=IMAGENET, num_epochs=800),
} | dict.fromkeys(ABLATIONS, SMALLER_LAUNCH)


def rates_of(config: Config) -> np.ndarray:
    schedule = learning_rate_schedule(config.schedule, config.run.num_steps, config.data.global_batch_size)
    return schedule(tf.range(config.run.num_steps)).numpy()


@pytest.mark.parametrize("name", LAUNCHES)
def test_learning_rates_equal_vissls(name: str) -> None:
    """Every step is compared. VISSL replaces the start of the warm-up that its file states."""
    config, launch = recipe(name), LAUNCHES[name]
    assert (config.data.global_batch_size, config.run.num_steps) == (launch.global_batch_size, launch.num_steps)
    warmup, cosine, constant = (launch.resolve(part, base_value=0.3) for part in (WARMUP, COSINE, CONSTANT))
    # V: lengths 0.0125 and 0.043648. P: 3.2.
    shares = {"swav_imagenet_16gf": 0.0125, "seer_regnety_10b": 0.043648}
    warmup_steps = math.ceil(shares[name] * launch.num_steps) if name in shares else 8000
    expected = schedules.vissl_cosine(
        launch.num_steps, warmup_steps, warmup["start_value"], warmup["end_value"], cosine["end_value"]
    )
    if config.schedule.kind != "vissl_cosine":
        expected[warmup_steps:] = constant["value"]
    np.testing.assert_allclose(rates_of(config), expected, rtol=1e-6)


def test_learning_rates_of_resnet50_equal_the_scripts() -> None:
    launch, config = LAUNCHES["swav_imagenet_16gf"], recipe("swav_imagenet_resnet50")
    assert (config.data.global_batch_size, config.run.num_steps) == (launch.global_batch_size, launch.num_steps)
    expected = schedules.swav_cosine(launch.num_steps, 10 * 312, 0.3, 4.8, 0.0048)
    np.testing.assert_allclose(rates_of(config), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["swav_imagenet_400mf", "swav_imagenet_resnet50_256"])
def test_learning_rates_for_small_batches_equal_the_scripts(name: str) -> None:
    launch = Launch(num_nodes=1, gpus_per_node=4, images_per_gpu=64, num_images=IMAGENET, num_epochs=200)
    config = recipe(name)
    assert (config.data.global_batch_size, config.run.num_steps) == (launch.global_batch_size, launch.num_steps)
    expected = schedules.swav_cosine(launch.num_steps, 0, 0.0, 0.6, 0.0006)
    np.testing.assert_allclose(rates_of(config), expected, rtol=1e-6)


def test_learning_rates_of_the_256gf_network_equal_vissls() -> None:
    config = recipe("seer_regnety_256gf")
    schedule = learning_rate_schedule(config.schedule, config.run.num_steps, config.data.global_batch_size)
    rates = schedule(tf.constant([0, 4000, 7999, 8000, config.run.num_steps], tf.int64))
    # The cosine counts from the first step, so the rate drops by a hundredth at the end of the warm-up (V, fvcore).
    np.testing.assert_allclose(rates, [0.15, 4.875, 9.5988, 9.4988, 0.0096], rtol=1e-4)

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

from seer_tf import models
from seer_tf.errors import InputError
from seer_tf.models.backbones.regnet import design as regnet_design
from seer_tf.models.backbones.regnet.design import RegNetDesign, Stage

# Widths, depths, group widths, numbers of groups, trunk parameters and 10^9 multiply-adds at 224 px. The released code
# computes these numbers, and they equal the published counts (ClassyVision, timm, VISSL).
TABLE: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, tuple[int, ...], int, float]] = {
    "200MF": ((24, 56, 152, 368), (1, 1, 4, 7), 8, (3, 7, 19, 46), 2_793_996, 0.20),
    "400MF": ((48, 104, 208, 440), (1, 3, 6, 6), 8, (6, 13, 26, 55), 3_903_144, 0.40),
    "600MF": ((48, 112, 256, 608), (1, 3, 7, 4), 16, (3, 7, 16, 38), 5_446_160, 0.60),
    "800MF": ((64, 128, 320, 768), (1, 3, 8, 2), 16, (4, 8, 20, 48), 5_494_168, 0.80),
    "1.6GF": ((48, 120, 336, 888), (2, 6, 17, 2), 24, (2, 5, 14, 37), 10_313_430, 1.61),
    "3.2GF": ((72, 216, 576, 1512), (2, 5, 13, 1), 24, (3, 9, 24, 63), 17_923_338, 3.17),
    "4GF": ((128, 192, 512, 1088), (2, 6, 12, 2), 64, (2, 3, 8, 17), 19_557_656, 3.97),
    "6.4GF": ((144, 288, 576, 1296), (2, 7, 14, 2), 72, (2, 4, 8, 18), 29_286_252, 6.35),
    "8GF": ((168, 448, 896, 2016), (2, 4, 10, 1), 56, (3, 8, 16, 36), 37_163_068, 7.96),
    "12GF": ((224, 448, 896, 2240), (2, 5, 11, 1), 112, (2, 4, 8, 20), 49_581_544, 12.09),
    "16GF": ((224, 448, 1232, 3024), (2, 4, 11, 1), 112, (2, 4, 11, 27), 80_565_140, 15.91),
    "32GF": ((232, 696, 1392, 3712), (2, 5, 12, 1), 232, (1, 3, 6, 16), 141_333_770, 32.28),
    "64GF": ((328, 984, 1968, 4920), (2, 5, 12, 1), 328, (1, 3, 6, 15), 276_457_786, 64.07),
    "128GF": ((528, 1056, 2904, 7392), (2, 7, 17, 1), 264, (2, 4, 11, 28), 637_419_894, 127.51),
    "256GF": ((746, 1492, 4103, 10444), (2, 7, 17, 1), 373, (2, 4, 11, 28), 1_272_156_138, 254.4),
    "10B": ((2020, 4040, 11110, 28280), (2, 7, 17, 1), 1010, (2, 4, 11, 28), 9_323_934_872, 1863.0),
}
# Squeeze widths of each stage: of the first block, and of the other blocks if they differ. A squeeze width is a quarter
# of the block's input width, rounded half to even. From 8GF on, the widths are published.
SQUEEZE_WIDTHS: dict[str, tuple[tuple[int, ...], ...]] = {
    "200MF": ((8,), (6,), (14, 38), (38, 92)),
    "400MF": ((8,), (12, 26), (26, 52), (52, 110)),
    "600MF": ((8,), (12, 28), (28, 64), (64, 152)),
    "800MF": ((8,), (16, 32), (32, 80), (80, 192)),
    "1.6GF": ((8, 12), (12, 30), (30, 84), (84, 222)),
    "3.2GF": ((8, 18), (18, 54), (54, 144), (144,)),
    "4GF": ((8, 32), (32, 48), (48, 128), (128, 272)),
    "6.4GF": ((8, 36), (36, 72), (72, 144), (144, 324)),
    "8GF": ((8, 42), (42, 112), (112, 224), (224,)),
    "12GF": ((8, 56), (56, 112), (112, 224), (224,)),
    "16GF": ((8, 56), (56, 112), (112, 308), (308,)),
    "32GF": ((8, 58), (58, 174), (174, 348), (348,)),
    "64GF": ((8, 82), (82, 246), (246, 492), (492,)),
    "128GF": ((8, 132), (132, 264), (264, 726), (726,)),
    "256GF": ((8, 186), (186, 373), (373, 1026), (1026,)),
    "10B": ((8, 505), (505, 1010), (1010, 2778), (2778,)),
}
OURS = {"90MF", "190MF"}


def test_every_variant_is_in_the_table() -> None:
    assert set(regnet_design.VARIANTS) == set(TABLE) | OURS
    assert set(SQUEEZE_WIDTHS) == set(TABLE)


@pytest.mark.parametrize("variant", TABLE)
def test_variant_equals_the_published_table(variant: str) -> None:
    widths, depths, group_width, num_groups, num_parameters, giga_multiply_adds = TABLE[variant]
    design = regnet_design.design(variant)
    expected = [Stage(*row) for row in zip(widths, depths, [group_width] * 4, num_groups, strict=True)]
    assert list(design.stages()) == expected
    assert regnet_design.parameter_count(design) == num_parameters
    assert regnet_design.multiply_adds(design) / 1e9 == pytest.approx(giga_multiply_adds, rel=1e-3, abs=0.006)


@pytest.mark.parametrize("variant", TABLE)
def test_built_network_has_the_published_parameters_and_squeeze_widths(variant: str) -> None:
    widths, depths, group_width, num_groups, num_parameters, _ = TABLE[variant]
    with keras.StatelessScope(initialize_variables=False):  # a network of any size needs no memory
        network = models.RegNetY(variant)
    shapes = {variable.path: tuple(variable.shape) for variable in network.trainable_variables}
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == num_parameters
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        blocks = [f"stage{stage}_block{block}" for block in range(1, depth + 1)]
        assert [shapes[f"{block}/b/kernel"] for block in blocks] == [(3, 3, group_width, width)] * depth
        assert f"stage{stage}_block{depth + 1}/b/kernel" not in shapes
        assert {network.get_layer(block).b.groups for block in blocks} == {num_groups[stage - 1]}
        first, *others = SQUEEZE_WIDTHS[variant][stage - 1]
        squeeze_widths = [shapes[f"{block}/se/reduce_bias"][0] for block in blocks]
        assert squeeze_widths == [first] + others * (depth - 1) and len(others) == min(depth - 1, 1)
    keras.utils.clear_session()  # otherwise the next Keras model would initialise these variables too


@pytest.mark.parametrize("variant", ["90MF", "190MF", "200MF"])
def test_the_formula_gives_the_parameters_of_a_network(variant: str) -> None:
    network = models.RegNetY(variant, stem_width=24)
    count = sum(variable.numpy().size for variable in network.trainable_variables)
    assert regnet_design.parameter_count(regnet_design.design(variant), stem_width=24) == count


def test_small_variants_have_the_stated_stages() -> None:
    stages = regnet_design.design("90MF").stages()
    assert stages == (Stage(32, 1, 16, 2), Stage(64, 1, 16, 4), Stage(128, 1, 16, 8), Stage(256, 1, 16, 16))
    assert regnet_design.multiply_adds(regnet_design.design("90MF")) / 1e6 == pytest.approx(90, abs=5)
    assert regnet_design.design("190MF").stages() == (Stage(32, 1, 32, 1), Stage(96, 1, 32, 3), Stage(256, 2, 32, 8))
    assert regnet_design.multiply_adds(regnet_design.design("190MF")) / 1e6 == pytest.approx(190, abs=5)


def test_multiply_adds_grow_with_the_area() -> None:
    design = regnet_design.design("400MF")
    small = regnet_design.multiply_adds(design, size_px=64)
    assert regnet_design.multiply_adds(design, size_px=128) == pytest.approx(4 * small, rel=0.02)
    assert regnet_design.multiply_adds(design, size_px=64, stem_stride=1) == pytest.approx(4 * small, rel=0.02)


def test_squeeze_width_rounds_half_to_even() -> None:
    assert [regnet_design.squeeze_width(width) for width in (746, 11110, 18)] == [186, 2778, 4]


def test_unknown_variant_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"(?s)'40MF'.*'400MF'.*10B"):
        regnet_design.design("40MF")


@pytest.mark.parametrize(
    "changed", [{"depth": 0}, {"w_0": 20}, {"w_0": 0}, {"w_a": -1.0}, {"w_m": 1.0}, {"group_width": 0}]
)
def test_numbers_that_describe_no_network_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="is no RegNet"):
        dataclasses.replace(RegNetDesign(4, 32, 50.0, 2.0, 16), **changed)

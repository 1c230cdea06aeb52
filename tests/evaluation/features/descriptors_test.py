"""Descriptors: R-MAC's regions and the whitening follow their equations, for maps of any size."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from seer_tf.errors import InputError
from seer_tf.evaluation.features.descriptors import descriptors, fitted_whitening, gem, rmac, rmac_regions


def test_regions_of_a_square_by_hand() -> None:
    """There is one region of side 14, four of side 9 that overlap by 4, and nine of side 7."""
    ends, thirds = (0, 5), (0, 3, 7)
    assert rmac_regions(14, 14) == [
        (0, 0, 14),
        *((top, left, 9) for top in ends for left in ends),
        *((top, left, 7) for top in thirds for left in thirds),
    ]


def test_a_longer_side_has_more_regions() -> None:
    """Two regions of side 10 in 10 x 14 overlap by 60 %. One or three regions would be farther from 40 %."""
    whole = [region for region in rmac_regions(10, 14) if region[2] == 10]
    assert whole == [(0, 0, 10), (0, 4, 10)]
    turned = {(left, top, side) for top, left, side in rmac_regions(10, 14)}
    assert turned == set(rmac_regions(14, 10)) and len(turned) == 2 + 6 + 12


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 14])
@pytest.mark.parametrize("width", [1, 2, 7, 14, 40])
def test_regions_lie_inside_and_touch_the_edges(height: int, width: int) -> None:
    regions = rmac_regions(height, width)
    assert regions and all(top >= 0 and left >= 0 and side >= 1 for top, left, side in regions)
    assert max(top + side for top, _, side in regions) == height
    assert max(left + side for _, left, side in regions) == width


def test_regions_are_pooled_by_their_maximum() -> None:
    maps = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    found = rmac(maps)
    for row, (top, left, side) in zip(found, rmac_regions(5, 7), strict=True):
        np.testing.assert_array_equal(row, maps[top : top + side, left : left + side].reshape(-1, 3).max(axis=0))
    clipped = np.clip(maps.astype(float), 1e-6, None).reshape(-1, 3)
    np.testing.assert_allclose(gem(maps)[0], [*np.mean(clipped**4, axis=0) ** 0.25, 1.0], rtol=1e-6)


def test_whitening_equals_scikit_learns_up_to_signs_and_one_factor() -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(60, 6)) @ generator.normal(size=(6, 6)) + 3
    whitened = fitted_whitening([rows[:25], rows[25:]], 4)(rows)
    expected = PCA(4, whiten=True).fit_transform(rows) / np.sqrt(len(rows) - 1)
    np.testing.assert_allclose(np.abs(whitened), np.abs(expected), rtol=1e-8, atol=1e-10)


def test_axes_without_spread_do_not_become_noise() -> None:
    """VISSL gives such axes a 100,000th of the largest variance."""
    rows = np.random.default_rng(2).normal(size=(50, 3)) * (1.0, 1e-6, 0.0)
    assert np.abs(fitted_whitening([rows], 3)(rows)).max() < 1


def test_a_descriptor_is_the_sum_of_whitened_regions_of_unit_length() -> None:
    regions = [np.random.default_rng(number).normal(size=(3 + number, 5)) for number in range(9)]
    whitening = fitted_whitening(regions, 4)
    found = descriptors(regions, whitening)
    for row, of_image in zip(found, regions, strict=True):
        expected = np.zeros(4)
        for region in of_image:
            one = whitening.projection @ (region - whitening.mean)
            expected += one / np.linalg.norm(one)
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), rtol=1e-5)
    with pytest.raises(InputError, match="whitening to 5 numbers needs more than 3 regions"):
        fitted_whitening(regions[:1], 100)

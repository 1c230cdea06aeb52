"""The comparison of a network with the best pixel features."""

import pytest

from seer_tf.evaluation.features.pixels import PIXEL_FEATURES
from seer_tf.evaluation.pixel_baseline import PixelBaseline


@pytest.mark.parametrize(
    ("knn", "num_queries", "beginning"),
    [
        (0.454, 300, "The network does not beat simple pixels: k-NN 45.4 % with the network, 61.7 % with the colour "),
        (0.617, 300, "The network does not beat simple pixels: "),
        (0.65, 300, "It is not certain that the network beats simple pixels: "),
        (0.65, 3000, "The network beats simple pixels: "),
        (0.70, 300, "The network beats simple pixels: "),
    ],
)
def test_the_text_says_whether_a_network_beats_the_best_pixels(knn: float, num_queries: int, beginning: str) -> None:
    """An accuracy of 0.65 has an interval of 5.4 points on each side with 300 queries, and of 1.7 points with 3,000."""
    baseline = PixelBaseline.best({"histogram": 0.617, "thumbnail": 0.3})
    assert baseline == PixelBaseline("histogram", 0.617)
    said = baseline.compared_with(knn, num_queries)
    assert said.startswith(beginning)
    assert ("try `crops.hue=0.02`" in said) == (knn <= 0.617)


def test_every_kind_of_pixel_features_has_advice() -> None:
    for name in PIXEL_FEATURES:
        assert "try " in PixelBaseline(name, 0.5).compared_with(0.4, 100)

"""The pixel baseline: what k-NN gives with simple features of the pixels, on the images that judge a network."""

import dataclasses
import math
from collections.abc import Mapping

from seer_tf.quantities import percent

#: By name of the pixel features: how a sentence names them, and what helps if a network loses to them.
_ABOUT = {
    "histogram": (
        "the colour histogram",
        "Colour tells these classes apart. Strong distortions hide colours: if the run has them, try `crops.hue=0.02`, "
        "`crops.saturation=0.2`, `crops.brightness=0.3`, `crops.contrast=0.3` and `crops.grayscale_probability=0`; "
        "otherwise a longer run",
    ),
    "thumbnail": (
        "a thumbnail of 8 x 8 pixels",
        "The layout of an image tells these classes apart: try larger `crops.min_area_fractions`, "
        "`crops.flip_probability=0`, or a longer run",
    ),
}


@dataclasses.dataclass(frozen=True)
class PixelBaseline:
    """The best pixel features for some labelled images.

    Attributes:
        name: Name of the pixel features.
        knn: Share of the queries that k-NN classifies correctly by these features.
    """

    name: str
    knn: float

    @classmethod
    def best(cls, shares: Mapping[str, float]) -> "PixelBaseline":
        """Returns the best of several pixel features, from the shares of k-NN by name."""
        name = max(shares, key=lambda each: shares[each])
        return cls(name, shares[name])

    def compared_with(self, knn: float, num_queries: int) -> str:
        """Returns sentences that compare a network with these features.

        Args:
            knn: Share of the queries that k-NN classifies correctly by the network's features.
            num_queries: Number of queries.
        """
        pixels, advice = _ABOUT[self.name]
        numbers = f"k-NN {percent(knn)} with the network, {percent(self.knn)} with {pixels} of the same images"
        if knn <= self.knn:
            return f"The network does not beat simple pixels: {numbers}. {advice}."
        if knn - self.knn < half_interval(knn, num_queries):
            return f"It is not certain that the network beats simple pixels: {numbers}, by only {num_queries} queries."
        return f"The network beats simple pixels: {numbers}."


def half_interval(share: float, num_queries: int) -> float:
    """Returns half of the 95 % interval of a share of `num_queries` queries."""
    return 1.96 * math.sqrt(share * (1 - share) / num_queries)

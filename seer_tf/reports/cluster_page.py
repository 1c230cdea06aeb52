"""Clusters to browse, as one page: their most typical images, sizes and neighbours; nothing to fetch."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True)
class ClusterPictures:
    """A cluster as the page shows it.

    Attributes:
        number: which prototype.
        size: images in it.
        typical: its most typical images, the most typical first.
        neighbours: numbers of the clusters nearest to it, the nearest first; they need not be on the page.
        classes: names of the classes that most of its images are of, each with its share of them, the largest first;
            empty without classes.
    """

    number: int
    size: int
    typical: "Sequence[TypicalImage]"
    neighbours: Sequence[int]
    classes: Sequence[tuple[str, float]] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class TypicalImage:
    """An image of the page.

    Attributes:
        name: of the image.
        pixels: uint8 [h, w, 3].
        class_name: empty where it has none.
    """

    name: str
    pixels: np.ndarray
    class_name: str = ""


def write_cluster_page(
    clusters: Sequence[ClusterPictures], sizes: np.ndarray, path: str | os.PathLike[str], *, title: str
) -> None:
    """Writes the page, whole or not at all.

    Args:
        clusters: those that are shown, the largest first.
        sizes: int [K], images of every cluster.
        path: of the HTML file; one that is there is replaced.
        title: of the page.
    """
    in_use = sizes[sizes > 0]
    page = render_page(
        "cluster_page.html.jinja2",
        title=title,
        clusters=clusters,
        shown={cluster.number: cluster for cluster in clusters},
        sizes=sizes,
        num_in_use=len(in_use),
        figures=(
            ("images", f"{sizes.sum():,}"),
            ("clusters in use", f"{len(in_use):,} of {len(sizes):,}"),
            ("images in the largest", f"{sizes.max():,}"),
            ("median of those in use", f"{np.median(in_use):,.0f}"),
        ),
    )
    write_atomically(path, page)

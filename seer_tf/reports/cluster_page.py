"""A self-contained page for browsing clusters: their most typical images, sizes and neighbours."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True)
class ClusterPictures:
    """A cluster on the page.

    Attributes:
        number: Number of the cluster's prototype.
        size: Number of images in the cluster.
        typical: Most typical images of the cluster, the most typical first.
        neighbours: Numbers of the nearest clusters, the nearest first; they need not be on the page.
        classes: Names of the most frequent classes with their shares of the cluster's images, the largest first; empty
            without classes.
    """

    number: int
    size: int
    typical: "Sequence[TypicalImage]"
    neighbours: Sequence[int]
    classes: Sequence[tuple[str, float]] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class TypicalImage:
    """An image on the page.

    Attributes:
        name: Name of the image.
        pixels: Uint8 [h, w, 3].
        class_name: Name of the class; empty if the image has none.
    """

    name: str
    pixels: np.ndarray
    class_name: str = ""


def write_cluster_page(
    clusters: Sequence[ClusterPictures], sizes: np.ndarray, path: str | os.PathLike[str], *, title: str
) -> None:
    """Writes the page, completely or not at all.

    Args:
        clusters: Clusters to show, the largest first.
        sizes: Number of images in every cluster, int [K].
        path: Path of the HTML file; an existing file is replaced.
        title: Title of the page.
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

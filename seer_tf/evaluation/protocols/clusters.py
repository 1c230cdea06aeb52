"""Clusters: assigns each image to a cluster and describes the clusters, in one pass and with constant memory.

Shapes: B images in a batch, N images in total, S evaluation size, D embedding dimensions, K prototypes.
"""

import collections
import heapq
import os
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow as tf

from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.progress import Progress

Assign = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""A function from uint8 [B, S, S, 3] to the best prototype of each image, int32 [B], and its score, float32 [B]."""

_SCHEMA = pyarrow.schema(
    [("image", pyarrow.string()), ("cluster", pyarrow.int32()), ("cluster_score", pyarrow.float32())]
)
_ROWS_PER_GROUP = 16_384


class Clusters:
    """Sizes, classes and most typical images of the clusters. A cluster's most typical images have its highest scores.

    Attributes:
        sizes: Number of images in each cluster, int64 [K].
    """

    def __init__(
        self, num_clusters: int, num_typical: int, classes_of: Callable[[int], Sequence[int]] = lambda _: ()
    ) -> None:
        """Creates empty clusters.

        Args:
            num_clusters: K.
            num_typical: Number of typical images to remember for each cluster.
            classes_of: Function from the number of an image to its classes.
        """
        self._classes_of = classes_of
        self._classes: dict[int, collections.Counter[int]] = {}
        self.sizes = np.zeros(num_clusters, np.int64)
        self._num_typical = num_typical
        self._heaps: dict[int, list[tuple[float, int]]] = {}

    def add(self, first: int, clusters: np.ndarray, scores: np.ndarray) -> None:
        """Adds the images number `first`, `first` + 1 and so on.

        Args:
            first: Number of the first of these images.
            clusters: Int [B].
            scores: Float [B].
        """
        self.sizes += np.bincount(clusters, minlength=len(self.sizes))
        for number, (cluster, score) in enumerate(zip(clusters.tolist(), scores.tolist(), strict=True), start=first):
            self._classes.setdefault(cluster, collections.Counter()).update(self._classes_of(number))
            heap = self._heaps.setdefault(cluster, [])
            # The least typical image is on top; if two are equal, the later one.
            if len(heap) < self._num_typical:
                heapq.heappush(heap, (score, -number))
            else:
                heapq.heappushpop(heap, (score, -number))

    def typical(self, cluster: int) -> list[int]:
        """Returns the numbers of the most typical images of a cluster, the most typical first."""
        return [-number for _, number in sorted(self._heaps.get(cluster, ()), reverse=True)]

    def classes(self, cluster: int, num_classes: int) -> list[tuple[int, float]]:
        """Returns the most frequent classes in a cluster with their shares of its images; at most `num_classes`."""
        counts = self._classes.get(cluster, collections.Counter()).most_common(num_classes)
        return [(label, count / int(self.sizes[cluster])) for label, count in counts]

    def largest(self, num_clusters: int) -> list[int]:
        """Returns at most `num_clusters` clusters that have images, the largest first."""
        order = np.argsort(-self.sizes, kind="stable")[:num_clusters]
        return [int(cluster) for cluster in order if self.sizes[cluster]]


def assign_clusters(
    assign: Assign,
    images: Iterable[tf.Tensor],
    ids: Sequence[str],
    table: str | os.PathLike[str],
    *,
    num_clusters: int,
    num_typical: int,
    classes_of: Callable[[int], Sequence[int]] = lambda _: (),
) -> Clusters:
    """Runs all images through a network once, and writes the cluster and score of each image to a Parquet file.

    Args:
        assign: Function that computes clusters and scores from a batch of images.
        images: Batches of uint8 [B, S, S, 3], each image once.
        ids: Names of the images, in the same order, N.
        table: Path of the Parquet file with the columns `image`, `cluster` and `cluster_score`.
        num_clusters: K.
        num_typical: Number of typical images to remember for each cluster.
        classes_of: Function from the number of an image to its classes.

    Returns:
        Sizes, classes and most typical images of the clusters.

    Raises:
        InputError: An image cannot be read.
    """
    clusters = Clusters(num_clusters, num_typical, classes_of)
    pending: list[tuple[np.ndarray, np.ndarray]] = []
    num_done = num_written = 0

    def write_pending(writer: pyarrow.parquet.ParquetWriter) -> int:
        columns = [np.concatenate(column) for column in zip(*pending, strict=True)]
        names = [name.encode(errors="backslashreplace").decode() for name in ids[num_written:num_done]]
        rows = [pyarrow.array(names), *map(pyarrow.array, columns)]
        writer.write_table(pyarrow.Table.from_arrays(rows, schema=_SCHEMA))
        pending.clear()
        return num_done

    with (
        pyarrow.parquet.ParquetWriter(table, _SCHEMA) as writer,
        Progress(len(ids), "image", "clusters") as progress,
        unreadable_images_named(),
    ):
        for batch in images:
            found, scores = (output.numpy() for output in assign(batch))
            clusters.add(num_done, found, scores)
            pending.append((found, scores))
            num_done += len(found)
            progress.advance(len(found))
            if num_done - num_written >= _ROWS_PER_GROUP:
                num_written = write_pending(writer)
        if pending:
            write_pending(writer)
    return clusters


def neighbours(prototypes: np.ndarray, clusters: Sequence[int], sizes: np.ndarray, num_neighbours: int) -> np.ndarray:
    """Finds the neighbours of clusters: other clusters with images whose prototypes have the highest cosine similarity.

    Args:
        prototypes: Float [K, D], rows of unit norm.
        clusters: The C clusters whose neighbours are wanted; each has images.
        sizes: Number of images in each cluster, int [K].
        num_neighbours: Largest number of neighbours.

    Returns:
        Int64 [C, n], the nearest first. n is smaller than `num_neighbours` if there are fewer other clusters.
    """
    similarities = prototypes[list(clusters)] @ prototypes.T  # [C, K]
    similarities[:, sizes == 0] = -np.inf
    similarities[np.arange(len(clusters)), list(clusters)] = -np.inf
    num_others = int(np.count_nonzero(sizes)) - 1
    return np.argsort(-similarities, axis=1, kind="stable")[:, : min(num_neighbours, num_others)]

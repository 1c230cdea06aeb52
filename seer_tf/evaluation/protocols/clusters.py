"""Which cluster each image is in, and what the clusters are like: one pass over the images, in memory that stays flat.

Shapes: B images of a batch, N in all, S evaluation size, D embedding dimensions, K prototypes.
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
"""From uint8 [B, S, S, 3] to the best prototype of each image, int32 [B], and its score, float32 [B]."""

_SCHEMA = pyarrow.schema(
    [("image", pyarrow.string()), ("cluster", pyarrow.int32()), ("cluster_score", pyarrow.float32())]
)
_ROWS_PER_GROUP = 16_384


class Clusters:
    """Sizes of the clusters, and the most typical images of each: those that score highest of all that are in it.

    Attributes:
        sizes: Int64 [K], images of each.
    """

    def __init__(
        self, num_clusters: int, num_typical: int, classes_of: Callable[[int], Sequence[int]] = lambda _: ()
    ) -> None:
        """Makes empty clusters.

        Args:
            num_clusters: K.
            num_typical: Images to remember of each.
            classes_of: The classes of the image of a number, for what `classes` returns.
        """
        self._classes_of = classes_of
        self._classes: dict[int, collections.Counter[int]] = {}
        self.sizes = np.zeros(num_clusters, np.int64)
        self._num_typical = num_typical
        self._heaps: dict[int, list[tuple[float, int]]] = {}

    def add(self, first: int, clusters: np.ndarray, scores: np.ndarray) -> None:
        """Counts the images `first`, `first` + 1 and so on.

        Args:
            first: Number of the first of these images.
            clusters: Int [B].
            scores: Float [B].
        """
        self.sizes += np.bincount(clusters, minlength=len(self.sizes))
        for number, (cluster, score) in enumerate(zip(clusters.tolist(), scores.tolist(), strict=True), start=first):
            self._classes.setdefault(cluster, collections.Counter()).update(self._classes_of(number))
            heap = self._heaps.setdefault(cluster, [])
            # The least typical is on top; of equals the later one.
            if len(heap) < self._num_typical:
                heapq.heappush(heap, (score, -number))
            else:
                heapq.heappushpop(heap, (score, -number))

    def typical(self, cluster: int) -> list[int]:
        """Returns the numbers of the most typical images of a cluster, the most typical first."""
        return [-number for _, number in sorted(self._heaps.get(cluster, ()), reverse=True)]

    def classes(self, cluster: int, num_classes: int) -> list[tuple[int, float]]:
        """Returns the classes that most images of a cluster are of, with their shares of it; at most `num_classes`."""
        counts = self._classes.get(cluster, collections.Counter()).most_common(num_classes)
        return [(label, count / int(self.sizes[cluster])) for label, count in counts]

    def largest(self, num_clusters: int) -> list[int]:
        """Returns the clusters that have images, the largest first, at most `num_clusters`."""
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
    """Runs all images through a network once, and writes the cluster and score of each as a row of a Parquet file.

    Args:
        assign: The network.
        images: Batches of uint8 [B, S, S, 3], each image once.
        ids: Names of the images, in the same order, N.
        table: Path of the Parquet file with the columns `image`, `cluster` and `cluster_score`.
        num_clusters: K.
        num_typical: Images to remember of each cluster.
        classes_of: The classes of the image of a number.

    Returns:
        Sizes, classes and most typical images of the clusters.

    Raises:
        InputError: an image cannot be read.
    """
    clusters = Clusters(num_clusters, num_typical, classes_of)
    pending: list[tuple[np.ndarray, np.ndarray]] = []
    num_done = num_written = 0

    def write_pending(writer: pyarrow.parquet.ParquetWriter) -> int:
        columns = [np.concatenate(column) for column in zip(*pending, strict=True)]
        rows = [pyarrow.array(ids[num_written:num_done]), *map(pyarrow.array, columns)]
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
    """Finds the clusters with images whose prototypes point most nearly the same way.

    Args:
        prototypes: Float [K, D], rows of unit norm.
        clusters: Whose neighbours are wanted, C of them, all with images.
        sizes: Int [K], images of each cluster.
        num_neighbours: How many at most.

    Returns:
        int64 [C, n], the nearest first; n is smaller where there are not as many others.
    """
    similarities = prototypes[list(clusters)] @ prototypes.T  # [C, K]
    similarities[:, sizes == 0] = -np.inf
    similarities[np.arange(len(clusters)), list(clusters)] = -np.inf
    num_others = int(np.count_nonzero(sizes)) - 1
    return np.argsort(-similarities, axis=1, kind="stable")[:, : min(num_neighbours, num_others)]

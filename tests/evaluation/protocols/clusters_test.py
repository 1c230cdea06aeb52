"""Clusters from one pass equal NumPy's clusters from all images at once, and so does the table."""

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from seer_tf.evaluation.protocols import clusters as clusters_module
from seer_tf.evaluation.protocols.clusters import Clusters, assign_clusters, neighbours

_NUM_IMAGES, _NUM_CLUSTERS, _NUM_TYPICAL = 500, 12, 5


@pytest.fixture
def assigned(tmp_path, monkeypatch):
    """Clusters, images of 1 px whose value is their number, and the table from a pass in batches of 32."""
    monkeypatch.setattr(clusters_module, "_ROWS_PER_GROUP", 100)
    generator = np.random.default_rng(0)
    # Rounded, so that some scores are equal.
    scores = np.round(generator.normal(size=[_NUM_IMAGES, _NUM_CLUSTERS]), 1).astype(np.float32)
    scores[:, 7] = -9.0
    numbers = np.arange(_NUM_IMAGES)
    images = np.stack([numbers // 256, numbers % 256, 0 * numbers], axis=-1).astype(np.uint8)[:, None, None]

    def assign(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.gather(scores, 256 * tf.cast(batch[:, 0, 0, 0], tf.int32) + tf.cast(batch[:, 0, 0, 1], tf.int32))
        return tf.argmax(rows, axis=1, output_type=tf.int32), tf.reduce_max(rows, axis=1)

    found = assign_clusters(
        assign,
        tf.data.Dataset.from_tensor_slices(images).batch(32),
        [f"{number}.jpg" for number in numbers[:-1]] + ["caf\udce9.jpg"],
        tmp_path / "clusters.parquet",
        num_clusters=_NUM_CLUSTERS,
        num_typical=_NUM_TYPICAL,
    )
    return scores, found, pyarrow.parquet.ParquetFile(tmp_path / "clusters.parquet")


def test_sizes_and_typical_images_equal_those_of_a_full_sort(assigned):
    """Typical images have the highest scores in their cluster. Of equal scores, the earlier image wins."""
    scores, found, _ = assigned
    best, value = scores.argmax(axis=1), scores.max(axis=1)
    np.testing.assert_array_equal(found.sizes, np.bincount(best, minlength=_NUM_CLUSTERS))
    for cluster in range(_NUM_CLUSTERS):
        members = np.flatnonzero(best == cluster)
        expected = members[np.argsort(-value[members], kind="stable")][:_NUM_TYPICAL]
        assert found.typical(cluster) == expected.tolist()
    order = sorted((cluster for cluster in range(_NUM_CLUSTERS) if cluster != 7), key=lambda c: (-found.sizes[c], c))
    assert found.largest(99) == order and found.largest(3) == order[:3]
    assert found.sizes[7] == 0 and found.typical(7) == []


def test_the_table_has_a_row_for_each_image_in_order(assigned):
    """The table has several row groups."""
    scores, _, file = assigned
    table = file.read().to_pydict()
    assert table["image"] == [f"{number}.jpg" for number in range(_NUM_IMAGES - 1)] + ["caf\\udce9.jpg"]
    np.testing.assert_array_equal(table["cluster"], scores.argmax(axis=1))
    np.testing.assert_array_equal(np.array(table["cluster_score"], np.float32), scores.max(axis=1))
    assert file.num_row_groups == 4
    assert [str(field.type) for field in file.schema_arrow] == ["string", "int32", "float"]


def test_neighbours_have_a_similar_direction_and_at_least_one_image():
    """Neighbours are found by cosine. A cluster is not its own neighbour, and an empty cluster is no neighbour."""
    angles = np.radians([0.0, 10.0, 15.0, 90.0, 100.0])
    prototypes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    sizes = np.array([4, 3, 0, 2, 1])
    assert neighbours(prototypes, [0, 3], sizes, 2).tolist() == [[1, 3], [4, 1]]
    assert neighbours(prototypes, [0, 3], sizes, 9).shape == (2, 3)


def test_classes_are_counted_by_cluster():
    """Images have one class, several or none. Shares refer to all images in the cluster."""
    classes = [(0,), (0, 1), (), (1,), (0,)]
    clusters = Clusters(2, 1, classes.__getitem__)
    clusters.add(0, np.array([0, 0, 0]), np.zeros(3))
    clusters.add(3, np.array([1, 0]), np.zeros(2))
    assert clusters.classes(0, 2) == [(0, 0.75), (1, 0.25)]
    assert clusters.classes(0, 1) == [(0, 0.75)]
    assert clusters.classes(1, 5) == [(1, 1.0)]


def test_memory_does_not_grow_with_the_images():
    """The clusters keep only the most typical images in memory."""
    clusters = Clusters(3, 2)
    for start in range(0, 10_000, 100):
        clusters.add(start, np.arange(100) % 3, np.full(100, float(start)))
    assert sum(map(len, clusters._heaps.values())) == 6
    assert clusters.typical(1) == [9901, 9904]

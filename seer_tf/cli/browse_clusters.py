"""Writes the cluster and score of every image to a Parquet table, and a page for browsing the clusters."""

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import flags

from seer_tf.cli import command
from seer_tf.data.images import acceptance
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import check_source, open_source
from seer_tf.data.sources.usable import usable
from seer_tf.evaluation.protocols.clusters import Assign, Clusters, assign_clusters, neighbours
from seer_tf.files.new_directory import new_directory
from seer_tf.networks.load import load_network
from seer_tf.networks.network import Network
from seer_tf.quantities import counted
from seer_tf.reports.cluster_page import ClusterPictures, TypicalImage, write_cluster_page

MODEL = command.required(
    flags.DEFINE_string("model", None, "A run, one of its checkpoints, or a directory from convert_checkpoint.py.")
)
DATA = command.required(flags.DEFINE_string("data", None, "Images to assign to clusters, e.g. folder:DIR."))
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write; must not exist."))
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Number of images in a batch.", lower_bound=1)
NUM_CLUSTERS = flags.DEFINE_integer(
    "num_clusters", 200, "Number of clusters on the page, the largest ones.", lower_bound=1
)
NUM_TYPICAL = flags.DEFINE_integer("num_typical", 8, "Number of images shown for each cluster.", lower_bound=1)

_NUM_NEIGHBOURS = 6
_NUM_CLASSES = 3
_SHOWN = Transform(128)  # the network's own square may be too small for people


def main() -> None:
    """Runs the command."""
    check_source(DATA.value)
    with new_directory(OUTPUT.value) as directory:
        network = load_network(MODEL.value).selected("prototypes")
        prototypes = network.prototypes  # [K, D]
        source = usable(open_source(DATA.value))
        clusters = assign_clusters(
            _assign(network),
            images_dataset(source, network.transform, batch_size=BATCH_SIZE.value),
            source.ids,
            directory / "clusters.parquet",
            num_clusters=len(prototypes),
            num_typical=NUM_TYPICAL.value,
            classes_of=source.classes_of,
        )
        shown = list(_pictures(source, clusters, prototypes))
        write_cluster_page(shown, clusters.sizes, directory / "clusters.html", title=f"Clusters of {DATA.value}")
    in_use = np.count_nonzero(clusters.sizes)
    print(f"{counted(source.num_images, 'image')} in {in_use} of {counted(len(prototypes), 'cluster')}")
    print(f"Table:  {os.path.join(OUTPUT.value, 'clusters.parquet')}")
    print(f"Page:   {os.path.join(OUTPUT.value, 'clusters.html')}")


def _assign(network: Network) -> Assign:
    @tf.function(input_signature=[tf.TensorSpec([None, network.size_px, network.size_px, 3], tf.uint8)])
    def assign(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = network.on_images(images, training=False)
        return outputs["cluster"], outputs["cluster_score"]

    return assign


def _pictures(source: Source, clusters: Clusters, prototypes: np.ndarray) -> Iterator[ClusterPictures]:
    """Yields the largest clusters with their most typical images, cropped to central squares."""
    largest = clusters.largest(NUM_CLUSTERS.value)
    near = neighbours(prototypes, largest, clusters.sizes, _NUM_NEIGHBOURS)
    names = source.class_names or ()
    for cluster, others in zip(largest, near.tolist(), strict=True):
        typical = []
        for number in clusters.typical(cluster):
            image = tf.constant(acceptance.upright(source.read(number)))
            class_name = ", ".join(names[label] for label in source.classes_of(number))
            typical.append(TypicalImage(source.ids[number], _SHOWN(image).numpy(), class_name))
        classes = [(names[label], share) for label, share in clusters.classes(cluster, _NUM_CLASSES)]
        yield ClusterPictures(cluster, int(clusters.sizes[cluster]), typical, others, classes)

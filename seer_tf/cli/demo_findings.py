"""The demo's findings about its run: accuracies, neighbours and prototypes, and the report that shows them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf.cli.demo_images import pictures
from seer_tf.config import Config
from seer_tf.data.augment.multicrop import multicrop
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.selection import Selection
from seer_tf.evaluation.features.extract import ImageFeatures, extract
from seer_tf.evaluation.features.labelled import matched_labels
from seer_tf.evaluation.features.pixels import PIXEL_FEATURES
from seer_tf.evaluation.features.run_features import whitened_stages
from seer_tf.evaluation.features.stages import StageFeatures, poolings, stage_features
from seer_tf.evaluation.pixel_baseline import PixelBaseline
from seer_tf.evaluation.protocols.image_map import image_map
from seer_tf.evaluation.protocols.knn import knn_accuracy, nearest
from seer_tf.evaluation.protocols.linear_probe import linear_probe
from seer_tf.methods.swav.model import SwavModel
from seer_tf.models import Encoder, all_stages
from seer_tf.models.embeddings import rank_me
from seer_tf.models.stage_maps import AVGPOOL
from seer_tf.networks.pretrained import load_model
from seer_tf.quantities import counted, percent
from seer_tf.reports.demo_report import Accuracy, DemoReport, Neighbours, Prototype
from seer_tf.reports.image_map import PlacedImage, placed
from seer_tf.reports.learning_curve import RELATIVE_LOSS, read_scalars
from seer_tf.training import retries
from seer_tf.training.retries import Retry
from seer_tf.training.run_directory import RunDirectory

_MAX_TRAIN_IMAGES, _MAX_TEST_IMAGES = 10_000, 2_000
_K = 20
_BATCH_SIZE = 128
_NUM_QUERIES, _NUM_NEIGHBOURS = 8, 6
_NUM_PROTOTYPES, _IMAGES_PER_PROTOTYPE = 8, 8
_NUM_CROPPED_IMAGES = 6
_NUM_ON_MAP = 400
_AFTER, _BEFORE = "the pretrained network", "the same, untrained"
_FEATURES = {
    AVGPOOL: "the mean of each channel of the last stage",
    all_stages.NAME: "mean, deviation and maximum of each channel of every stage, whitened by the training images",
}
_PIXELS = {"histogram": "colour histograms", "thumbnail": "thumbnails of 8 x 8 pixels"}
_FIGURES_NOTE = (
    "ln K is the loss of a network that cannot tell one of the K prototypes from another. RankMe is the number of "
    "dimensions that the last stage spans. RankMe falls in healthy runs too; only a value near 1 is a collapse."
)

Labels = tuple[Sequence[str], np.ndarray, np.ndarray]
"""Class names, labels of the bank int64 [N], labels of the queries int64 [Q]."""


@dataclasses.dataclass(frozen=True)
class Findings:
    """All numbers and images of the report.

    Attributes:
        config: Run configuration.
        retries: Retries of the run.
        num_train: Number of training images that the evaluation used.
        num_test: Number of images that the accuracies, if any, are measured on.
        num_parameters: Number of parameters in the backbone.
        accuracies: Rows of the table of accuracies; empty without labels.
        learning_curve: Pairs of step and loss / ln K.
        rank_me_before: RankMe of the untrained network's last stage.
        rank_me_after: RankMe of the pretrained network's last stage.
        prototypes_in_use: Share of prototypes that are the best one for some image.
        crops: Images with their crops.
        neighbours: Queries with their nearest images.
        prototypes: The prototypes with most images.
        map: Some of the images, placed by the pretrained network's features.
    """

    config: Config
    retries: Sequence[Retry]
    num_train: int
    num_test: int
    num_parameters: int
    accuracies: Sequence[Accuracy]
    learning_curve: Sequence[tuple[int, float]]
    rank_me_before: float
    rank_me_after: float
    prototypes_in_use: float
    crops: Sequence[Sequence[np.ndarray]]
    neighbours: Sequence[Neighbours]
    prototypes: Sequence[Prototype]
    map: Sequence[PlacedImage]

    def table(self) -> str:
        """Returns the accuracies as lines of text; without labels, the figures that need no labels."""
        lines = [f"{'features':32}{'k-NN %':>8}{'linear probe %':>16}"]
        lines += [f"{row.features:32}{100 * row.knn:8.1f}{100 * row.linear_probe:16.1f}" for row in self.accuracies]
        if not self.accuracies:
            lines = [f"{name}: {value}" for name, value in self._figures()]
        return "\n".join([*lines, *filter(None, [self._compared_with_pixels(), retries.summary(self.retries)])])

    def numbers(self) -> dict[str, Any]:
        """Returns the numbers that can be compared between demos."""
        return {
            "accuracies": [dataclasses.asdict(row) for row in self.accuracies],
            "retries": len(self.retries),
            "relative_loss": self.learning_curve[-1][1] if self.learning_curve else None,
            "prototypes_in_use": self.prototypes_in_use,
            "rank_me": {"before": self.rank_me_before, "after": self.rank_me_after},
        }

    def report(self, places: Sequence[tuple[str, str]]) -> DemoReport:
        """Returns the content of the page; `places` has names and paths of the demo's outputs."""
        steps = counted(self.config.run.num_steps, "step")
        images = counted(self.config.data.global_batch_size, "image")
        crops = counted(sum(self.config.crops.num), "crop")
        return DemoReport(
            title="What a network learned by looking",
            summary=(
                f"A RegNetY with {self.num_parameters / 1e6:.1f} million parameters was pretrained with SwAV on these "
                f"images alone, without labels: {steps} with {images}, each seen as {crops}. Then the network was "
                f"compared with the same network before pretraining. {retries.summary(self.retries)}"
            ).strip(),
            figures=self._figures(),
            figures_note=_FIGURES_NOTE,
            learning_curve=self.learning_curve,
            crops=self.crops,
            neighbours=self.neighbours,
            prototypes=self.prototypes,
            map=self.map,
            accuracies=self.accuracies,
            accuracy_note=(
                f"Share of {counted(self.num_test, 'test image')} that are classified correctly from "
                f"{counted(self.num_train, 'training image')}: by a vote of the {min(_K, self.num_train)} nearest, and "
                "by a linear classifier on the frozen features. The features of both networks are "
                f"{_FEATURES[self.config.backbone.features]}. Labels are used only for this comparison. "
                f"{self._compared_with_pixels()}"
            ),
            places=places,
        )

    def against_pixels(self) -> str:
        """Returns sentences that compare the pretrained network with the best pixel features; empty without labels.

        Config fields in them are in backquotes.
        """
        if not self.accuracies:
            return ""
        shares = dict(zip(PIXEL_FEATURES, (row.knn for row in self.accuracies[2:]), strict=True))
        return PixelBaseline.best(shares).compared_with(self.accuracies[0].knn, self.num_test)

    def _right_neighbours(self) -> str:
        before = sum(sum(query.before_right) for query in self.neighbours)
        after = sum(sum(query.after_right) for query in self.neighbours)
        return f"{before} → {after} of {sum(len(query.after_right) for query in self.neighbours)}"

    def _compared_with_pixels(self) -> str:
        return self.against_pixels().replace("`", "")

    def _figures(self) -> list[tuple[str, str]]:
        figures = []
        if self.accuracies:
            after, before = self.accuracies[:2]
            figures.append(("k-NN, before → after", f"{100 * before.knn:.1f} → {percent(after.knn)}"))
            figures.append(("neighbours of the query's class, before → after", self._right_neighbours()))
        if self.learning_curve:
            figures.append(("loss / ln K at the end", f"{self.learning_curve[-1][1]:.3f}"))
        num_prototypes = self.config.head.num_prototypes
        figures.append(("prototypes in use", f"{round(self.prototypes_in_use * num_prototypes)} of {num_prototypes}"))
        figures.append(("RankMe, before → after", f"{self.rank_me_before:.1f} → {self.rank_me_after:.1f}"))
        return figures


def findings(directory: RunDirectory, train: Source, test: Source | None) -> Findings:
    """Compares the pretrained network of a run with the untrained network and with pixel features.

    Args:
        directory: Run directory.
        train: Images of the pretraining.
        test: Held-out labelled images; None without labels.
    """
    config = directory.read_config()
    _, pretrained = load_model(directory.path)
    _, untrained = load_model(directory.path, untrained=True)
    assert isinstance(pretrained, SwavModel)
    networks = {_AFTER: pretrained, _BEFORE: untrained}
    bank, queries = _bank_and_queries(train, test)
    labels = None if test is None else matched_labels(bank, queries)
    own = config.backbone.features
    methods = {name: _of_network(network, directory, config) for name, network in networks.items()}
    if labels is not None:
        methods |= {_PIXELS[name]: _of_pixels(of, own) for name, of in PIXEL_FEATURES.items()}
    # Images are read and decoded once for all methods, because decoding would take most of the time.
    pixels, query_pixels = (_pixels(side, config.crops.sizes_px[0]) for side in (bank, queries))
    by_stage = {name: _extracted(method, pixels, name) for name, method in methods.items()}
    features = {
        name: (by_stage[name][own], _extracted(method, query_pixels, name)[own]) for name, method in methods.items()
    }
    scores = pretrained.head(tf.constant(by_stage[_AFTER][AVGPOOL]), training=False)[1].numpy()  # [N, K]
    return Findings(
        config=config,
        retries=retries.read_retries(directory),
        num_train=bank.num_images,
        num_test=queries.num_images,
        num_parameters=pretrained.backbone.count_params(),
        accuracies=[] if labels is None else [_accuracy(name, *pair, labels) for name, pair in features.items()],
        learning_curve=read_scalars(directory.tensorboard, RELATIVE_LOSS),
        rank_me_before=float(rank_me(by_stage[_BEFORE][AVGPOOL])),
        rank_me_after=float(rank_me(by_stage[_AFTER][AVGPOOL])),
        prototypes_in_use=len(np.unique(scores.argmax(axis=1))) / scores.shape[1],
        crops=_crops(config, bank),
        neighbours=_neighbours((features[_BEFORE], features[_AFTER]), bank, queries, labels),
        prototypes=_prototypes(scores, bank),
        map=_map(features[_AFTER][0][:_NUM_ON_MAP], pixels[:_NUM_ON_MAP], bank),
    )


def _bank_and_queries(train: Source, test: Source | None) -> tuple[Source, Source]:
    """Returns as many images as a demo's evaluation has time for. Shards are shuffled, so the first images are taken.

    Without labels the queries are a few training images, which are then not in the bank.
    """
    if test is None:
        queries, first = Selection(train, np.arange(_NUM_QUERIES)), _NUM_QUERIES
    else:
        queries, first = Selection(test, np.arange(min(test.num_images, _MAX_TEST_IMAGES))), 0
    return Selection(train, np.arange(first, min(train.num_images, _MAX_TRAIN_IMAGES))), queries


def _pixels(source: Source, side_px: int) -> np.ndarray:
    """Returns all images of a source, prepared for evaluation, uint8 [N, side, side, 3]."""
    images = images_dataset(source, Transform(side_px), batch_size=_BATCH_SIZE)
    with unreadable_images_named():
        return np.concatenate(list(images.as_numpy_iterator()))


def _of_network(network: Encoder, directory: RunDirectory, config: Config) -> StageFeatures:
    """Returns the pooled last stage, and the features that the run names as its own, by name of the stage."""
    pooled = poolings(network.backbone, [AVGPOOL], size_px=config.crops.sizes_px[0])
    is_whitened = config.backbone.features == all_stages.NAME
    whitened = whitened_stages(str(directory.path), network) if is_whitened else None
    return stage_features(network, pooled, whitened)


def _of_pixels(features: ImageFeatures, stage: str) -> StageFeatures:
    """Returns pixel features under the name of a stage."""
    return lambda images: {stage: features(images)}


def _extracted(features: StageFeatures, images: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Returns the features by stage, float32 [N, C], of images, uint8 [N, side, side, 3]."""
    return extract(features, tf.data.Dataset.from_tensor_slices(images).batch(_BATCH_SIZE), len(images), label=name)


def _accuracy(name: str, bank: np.ndarray, queries: np.ndarray, labels: Labels) -> Accuracy:
    class_names, bank_labels, query_labels = labels
    k = min(_K, len(bank))
    knn = knn_accuracy(bank, bank_labels, queries, query_labels, num_classes=len(class_names), ks=[k])
    return Accuracy(name, knn[k], linear_probe(bank, bank_labels, queries, query_labels).top1)


def _neighbours(
    sides: Sequence[tuple[np.ndarray, np.ndarray]], bank: Source, queries: Source, labels: Labels | None
) -> list[Neighbours]:
    """Finds the nearest images of a few queries, before and after pretraining; the queries cover many classes."""
    chosen = np.arange(queries.num_images) if labels is None else _one_of_each_class_first(labels[2])
    chosen = chosen[:_NUM_QUERIES]
    k = min(_NUM_NEIGHBOURS, bank.num_images)
    positions = [nearest(side_bank, side_queries[chosen], k)[1] for side_bank, side_queries in sides]  # [q, k] each
    shown = pictures(Selection(queries, chosen))
    found = [[pictures(Selection(bank, row)) for row in side] for side in positions]
    if labels is None:
        return [Neighbours(query, *images) for query, *images in zip(shown, *found, strict=True)]
    class_names, bank_labels, query_labels = labels
    names = [class_names[label] for label in query_labels[chosen]]
    right = [(bank_labels[side] == query_labels[chosen, None]).tolist() for side in positions]
    return [Neighbours(query, *rest) for query, *rest in zip(shown, *found, names, *right, strict=True)]


def _one_of_each_class_first(labels: np.ndarray) -> np.ndarray:
    """Returns all positions: the first of each class, then the second of each, and so on."""
    ranks = np.array([np.sum(labels[:position] == label) for position, label in enumerate(labels)])
    return np.lexsort([labels, ranks])


def _prototypes(scores: np.ndarray, bank: Source) -> list[Prototype]:
    """Finds the images that score highest on the prototypes that are the best one for most images."""
    share = np.bincount(scores.argmax(axis=1), minlength=scores.shape[1]) / len(scores)  # [K]
    most_used = [number for number in np.argsort(-share, kind="stable")[:_NUM_PROTOTYPES] if share[number] > 0]
    top = np.argsort(-scores, axis=0, kind="stable")[:_IMAGES_PER_PROTOTYPE]  # [images, K]
    return [
        Prototype(int(number), float(share[number]), pictures(Selection(bank, top[:, number]))) for number in most_used
    ]


def _map(features: np.ndarray, pixels: np.ndarray, bank: Source) -> list[PlacedImage]:
    """Places the first images of the bank by their features, float32 [n, C]; `pixels` is uint8 [n, side, side, 3]."""
    names = [bank.ids[number] for number in range(len(pixels))]
    return placed(list(pixels), image_map(features), names)


def _crops(config: Config, bank: Source) -> list[list[np.ndarray]]:
    """Cuts crops from a few images as in pretraining. Each row has an image and then its crops."""
    rows = []
    for number, image in enumerate(pictures(Selection(bank, np.arange(min(_NUM_CROPPED_IMAGES, bank.num_images))))):
        groups = multicrop(tf.constant(image), config.crops, tf.constant([config.run.seed, number]))
        rows.append([image, *(crop for group in groups for crop in group.numpy())])
    return rows

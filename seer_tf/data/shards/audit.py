"""A summary of the images in shards, in numbers that fit on a screen."""

import collections
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seer_tf.data.images import formats
from seer_tf.data.shards.index import NO_LABEL, SEVERAL_LABELS
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import sealed_json
from seer_tf.quantities import counted

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_QUANTILE_NAMES = ("minimum", "5 %", "25 %", "median", "75 %", "95 %", "maximum")
_NUM_REASONS, _NUM_LISTED = 12, 8
_FOUND = {
    "profile": "colour profiles",
    "bits": "bits",
    "orientation": "turned by their orientation",
    "frames": "several pictures in a file",
}
_DARK = 16  # of 255, in the thumbnail
_DARK_NAMED = 3
_EXAMPLE_GROUPS, _EXAMPLE_IMAGES = 12, 6


@dataclasses.dataclass(frozen=True)
class Audit:
    """The numbers of the summary.

    Attributes:
        num_images: Number of images in the shards.
        num_shards: Number of shards.
        num_bytes: Size of all shards.
        images_by_format: Number of images stored in each format, the most frequent format first.
        shorter_side_px: Quantiles of the shorter side of the images, from the minimum to the maximum.
        longer_side_px: Quantiles of the longer side, likewise.
        encoded_kb: Quantiles of the encoded size in kB, likewise.
        rejected_by_reason: Number of rejected files for each reason, the most frequent reason first.
        num_dark: Number of images that are nearly black everywhere.
        num_duplicate_groups: Number of groups of images that look alike.
        num_duplicates: Number of images in these groups, without the first image of each group.
        duplicate_examples: Some of the groups, as numbers of records.
        dark_examples: Names of some of the nearly black images.
        found: What the files had, by kind (`format`, `profile`, `bits`, `orientation`, `frames`): number of images for
            each value, the most frequent first.
        images_by_class: Number of images of each class, the most frequent first; an image with several counts for each.
        num_unlabelled: Number of images without a class, if there are classes.
        converted_by_kind: Number of images for each thing that was done, the most frequent first.
    """

    num_images: int
    num_shards: int
    num_bytes: int
    images_by_format: dict[str, int]
    shorter_side_px: tuple[float, ...]
    longer_side_px: tuple[float, ...]
    encoded_kb: tuple[float, ...]
    rejected_by_reason: dict[str, int]
    num_dark: int
    num_duplicate_groups: int
    num_duplicates: int
    duplicate_examples: tuple[tuple[int, ...], ...]
    dark_examples: tuple[str, ...] = ()
    found: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    images_by_class: dict[str, int] = dataclasses.field(default_factory=dict)
    num_unlabelled: int = 0
    converted_by_kind: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def num_rejected(self) -> int:
        """Number of files that were left out."""
        return sum(self.rejected_by_reason.values())

    def quantiles(self) -> list[tuple[str, str, str, str]]:
        """Returns name, shorter side, longer side and encoded size for each quantile, as text."""
        columns = (self.shorter_side_px, self.longer_side_px, self.encoded_kb)
        rows = zip(_QUANTILE_NAMES, *([f"{value:,.0f}" for value in column] for column in columns), strict=True)
        return [(name, shorter, longer, size) for name, shorter, longer, size in rows]

    def summary(self) -> list[str]:
        """Returns sentences about all images, without full stops."""
        images, shards = counted(self.num_images, "image"), counted(self.num_shards, "shard")
        near, groups = counted(self.num_duplicates, "image"), counted(self.num_duplicate_groups, "group")
        sentences = [
            f"{images} in {shards}, {self.num_bytes / 1e6:.1f} MB",
            f"rejected: {counted(self.num_rejected, 'file')}",
            f"near-duplicates: {near} beyond the first of {groups}" if self.num_duplicates else "near-duplicates: none",
        ]
        if self.num_dark:
            names = ", ".join(self.dark_examples)
            remedy = "look at some of them, and leave out those that show nothing"
            sentences.append(f"nearly black: {counted(self.num_dark, 'image')}, such as {names}; {remedy}")
        return sentences

    def text(self) -> str:
        """Returns the summary as one screen of text."""
        whole, *remarks = self.summary()
        lines = [
            whole,
            *self.properties(),
            "            " + "".join(name.rjust(9) for name in _QUANTILE_NAMES),
        ]
        for title, column in (
            ("shorter px", self.shorter_side_px),
            ("longer px", self.longer_side_px),
            ("encoded kB", self.encoded_kb),
        ):
            lines.append(f"{title:12}" + "".join(f"{value:9,.0f}" for value in column))
        lines += remarks
        lines += _counts(self.converted_by_kind, "converted")
        lines += _counts(self.rejected_by_reason, "rejected")
        return "\n".join(lines)

    def properties(self) -> list[str]:
        """Returns one line for each kind of thing that the images have, with the numbers of images."""
        lines = [f"formats: {_listed(self.found.get('format', self.images_by_format))}"]
        lines += [f"stored as: {_listed(self.images_by_format)}"] if self.converted_by_kind else []
        lines += [f"{title}: {_listed(self.found[kind])}" for kind, title in _FOUND.items() if self.found.get(kind)]
        if self.images_by_class:
            without = f"; {counted(self.num_unlabelled, 'image')} without one" if self.num_unlabelled else ""
            classes = counted(len(self.images_by_class), "class")
            lines.append(f"{classes}: {_listed(self.images_by_class)}{without}")
        return lines


def _listed(counts: Mapping[str, int]) -> str:
    """Returns the first names with their numbers, and the number of other names."""
    named = [f"{name} {count:,}" for name, count in itertools.islice(counts.items(), _NUM_LISTED)]
    rest = list(counts.values())[_NUM_LISTED:]
    return ", ".join([*named, f"{sum(rest):,} of {len(rest):,} others"] if rest else named)


def _counts(counts: Mapping[str, int], what: str) -> list[str]:
    """Returns lines with a number and a kind; the last line has all rare kinds."""
    kinds = list(counts.items())
    lines = [f"{count:8,} {what}: {kind}" for kind, count in kinds[:_NUM_REASONS]]
    rest = sum(count for _, count in kinds[_NUM_REASONS:])
    return [*lines, f"{rest:8,} {what} for other reasons"] if rest else lines


@dataclasses.dataclass(frozen=True)
class Notes:
    """Notes about single files.

    Attributes:
        rejected: File and reason for each image that was left out.
        converted: File and what was done for each image that does not keep its bytes.
        found: What the files of each shard have: number of images by kind and value.
    """

    rejected: Sequence[tuple[str, str]]
    converted: Sequence[tuple[str, str]]
    found: Sequence[Mapping[str, Mapping[str, int]]]


def summarize(
    entries: np.ndarray,
    notes: Notes,
    groups: Sequence[np.ndarray],
    num_shards: int,
    num_bytes: int,
    source: Source,
) -> Audit:
    """Summarises finished shards.

    Args:
        entries: Entries of all shards, with the dtype `writer.ENTRY`.
        notes: Notes about single files.
        groups: Groups of images that look alike, as positions in `entries`.
        num_shards: Number of shards.
        num_bytes: Size of all shards.
        source: Source of the images.
    """
    dark = entries["image"][entries["thumbnail"].reshape(len(entries), -1).max(axis=1) < _DARK].tolist()
    kinds = collections.Counter(formats.FORMATS[kind] for kind in entries["format"].tolist())
    reasons = collections.Counter(_kind(reason) for _, reason in notes.rejected)
    done = collections.Counter(_kind(one) for _, text in notes.converted for one in text.split("; "))
    classes = _classes(entries, source)
    sides = np.stack([entries["height"], entries["width"]])
    return Audit(
        num_images=len(entries),
        num_shards=num_shards,
        num_bytes=num_bytes,
        images_by_format=dict(kinds.most_common()),
        shorter_side_px=_quantiles(sides.min(axis=0)),
        longer_side_px=_quantiles(sides.max(axis=0)),
        encoded_kb=_quantiles(entries["length"] / 1e3),
        rejected_by_reason=dict(reasons.most_common()),
        num_dark=len(dark),
        num_duplicate_groups=len(groups),
        num_duplicates=sum(len(group) - 1 for group in groups),
        duplicate_examples=tuple(tuple(group[:_EXAMPLE_IMAGES].tolist()) for group in groups[:_EXAMPLE_GROUPS]),
        dark_examples=tuple(
            source.ids[index].encode(errors="backslashreplace").decode() for index in dark[:_DARK_NAMED]
        ),
        found=_joined(notes.found),
        images_by_class={name: count for name, count in classes.most_common() if name is not None},
        num_unlabelled=classes[None],
        converted_by_kind=dict(done.most_common()),
    )


def _classes(entries: np.ndarray, source: Source) -> collections.Counter[str | None]:
    """Returns the number of images of each class by name, and of those without one by None."""
    names, counts = source.class_names, collections.Counter[str | None]()
    if names is None:
        return counts
    labels, numbers = np.unique(entries["label"], return_counts=True)
    for label, number in zip(labels.tolist(), numbers.tolist(), strict=True):
        if label == SEVERAL_LABELS:
            images = entries["image"][entries["label"] == label].tolist()
            counts.update(names[one] for image in images for one in source.classes_of(image))
        else:
            counts[None if label == NO_LABEL else names[label]] += number
    return counts


def _joined(found: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Returns the sums over shards, the most frequent value first."""
    sums: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for part in found:
        for kind, counts in part.items():
            sums[kind].update(counts)
    return {kind: dict(counts.most_common()) for kind, counts in sums.items()}


def from_json(values: Any) -> Audit:
    """Returns the audit that `dataclasses.asdict` turned into JSON values, here or in an earlier version.

    Raises:
        InputError: The values are damaged.
    """
    known = {field.name for field in dataclasses.fields(Audit)}
    try:
        found = sealed_json.typed(values, dict[str, Any], "the audit")
        return sealed_json.typed({name: value for name, value in found.items() if name in known}, Audit, "the audit")
    except sealed_json.DamagedJsonError as error:
        raise InputError(f"manifest.json is damaged ({error}); prepare the shards again") from None


def _kind(reason: str) -> str:
    """Returns a reason without the details of one file: numbers of pixels, and the text behind a colon."""
    if reason.startswith("near-duplicate of "):
        return "near-duplicate"
    _, beyond, limit = reason.partition(" are more than ")
    return f"more than {limit}" if beyond else reason.partition(":")[0]


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, _QUANTILES))

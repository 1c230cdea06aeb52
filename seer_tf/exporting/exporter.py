"""The whole export: writes files, loads them again in a fresh process, compares and describes them; all or nothing."""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf.data.images import acceptance
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.exporting.card import Card, ExportedFile
from seer_tf.exporting.registry import Format, check_formats, find_format
from seer_tf.exporting.verification import Reference
from seer_tf.files.new_directory import new_directory
from seer_tf.models.backbones.regnet import published
from seer_tf.networks.network import Network
from seer_tf.progress import Progress

# S evaluation size
_NUM_COMPARED, _NUM_CALIBRATION = 8, 100
_SEED = 0


def export(
    network: Network,
    output_dir: str | os.PathLike[str],
    *,
    source: Source,
    formats: Sequence[str] = ("saved_model",),
    metrics: Sequence[Mapping[str, Any]] = (),
) -> list[ExportedFile]:
    """Writes a network in some formats, and a card, into a new directory.

    Args:
        network: Network whose exported part is selected.
        output_dir: Directory to write; must not exist.
        source: Images for the comparison; other images of the source serve to calibrate int8.
        formats: Some of the names in `registry.FORMATS`.
        metrics: Evaluation results for the card.

    Returns:
        The files, each with the largest difference that was found.

    Raises:
        InputError: `output_dir` exists, no format is named, a format is unknown or needs a missing package, no image
            in the source can be read, weights are not finite, or a file differs by more than its format's tolerance.
            Nothing is left behind.
        RuntimeError: A file cannot be loaded again. Nothing is left behind.
    """
    with new_directory(output_dir) as directory:
        return export_into(network, directory, source=source, formats=formats, metrics=metrics)


def export_into(
    network: Network,
    directory: Path,
    *,
    source: Source,
    formats: Sequence[str] = ("saved_model",),
    metrics: Sequence[Mapping[str, Any]] = (),
) -> list[ExportedFile]:
    """Does the work of `export` in an empty directory, which the caller removes on failure; has the same errors."""
    check_formats(formats)
    kinds = {name: find_format(name, network) for name in formats}
    for variable in network.on_images.variables:
        if not np.isfinite(variable.numpy()).all():
            raise InputError(f"the network's weights are not finite ({variable.path}); give an earlier checkpoint")
    with Progress(len(kinds), "file", "exporting") as progress:
        images = _readable_images(source)
        reference = Reference(network, list(itertools.islice(images, _NUM_COMPARED)))
        files = []
        for name, kind in kinds.items():
            path = directory / kind.file_name
            part = dataclasses.replace(network, whitened=None) if kind.lacks else network
            kind.write(part, path, *([_calibration(network, images, reference)] if kind.is_calibrated else []))
            files.append(_checked(name, kind, path, reference))
            progress.advance(note=name)
        Card(network, files, metrics, num_compared=len(reference.crops)).write(directory)
        published.add_notice(directory, network.licence)
    return files


def _readable_images(source: Source) -> Iterator[tuple[bytes, np.ndarray]]:
    """Yields the images of a source in random order: the encoded file, and its upright pixels, uint8 [h, w, 3].

    Images that cannot be decoded are left out.
    """
    found = False
    for number in np.random.default_rng(_SEED).permutation(source.num_images):
        try:
            encoded = source.read(int(number))
            image = acceptance.upright(encoded)
        except UnusableImageError:
            continue
        found = True
        yield encoded, image
    if not found:
        raise InputError("no image for the comparison can be decoded; name other images as `images`")


def _calibration(network: Network, images: Iterator[tuple[bytes, np.ndarray]], reference: Reference) -> np.ndarray:
    """Returns crops, uint8 [N, S, S, 3], from images outside the comparison; without such, the compared crops."""
    others = itertools.islice(images, _NUM_CALIBRATION)
    crops = [network.transform(tf.constant(image)).numpy() for _, image in others]
    return np.stack(crops) if crops else reference.crops


def _checked(name: str, kind: Format, path: Path, reference: Reference) -> ExportedFile:
    """Compares a file with the network.

    Raises:
        InputError: The difference is larger than the tolerance.
    """
    difference = reference.difference(kind, path)
    if not difference <= kind.tolerance:
        raise InputError(
            f"{name}: the file differs from the network by {difference:.1e} of the largest value, more than the "
            f"{kind.tolerance:.0e} that this format allows, so nothing was written; take a more exact format"
        )
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return ExportedFile(name, kind.file_name, sum(file.stat().st_size for file in files), difference, kind.tolerance)

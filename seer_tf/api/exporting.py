"""Export of a network, with the images and the results of its run."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from seer_tf.api import tables
from seer_tf.api.images import Images, as_data
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import Data, check_source, open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import model_digest
from seer_tf.evaluation.features.run_features import own_stage, whitened_stages
from seer_tf.evaluation.result import EvaluationResult, read_file
from seer_tf.exporting.card import ExportedFile
from seer_tf.exporting.exporter import export_into
from seer_tf.exporting.registry import FORMATS, check_formats
from seer_tf.files.new_directory import new_directory
from seer_tf.files.system_errors import takes_paths
from seer_tf.models import all_stages
from seer_tf.networks.load import check_network, load_network
from seer_tf.networks.network import Network, check_part


@dataclasses.dataclass(frozen=True)
class Export:
    """A finished export.

    Attributes:
        path: Directory with the files and the model card.
        files: The files, each with the largest difference that was found in a fresh process.
    """

    path: str
    files: Sequence[ExportedFile]

    def __fspath__(self) -> str:
        """Returns the path."""
        return self.path

    def lines(self) -> list[str]:
        """Returns a sentence about each file."""
        return [
            f"{file.format}: {self._place(file)}, {file.num_bytes / 1e6:.1f} MB, largest difference "
            f"in a fresh process{_reader_of(file)} {file.largest_difference:.1e} of the largest value "
            f"({file.tolerance:.0e} allowed)"
            for file in self.files
        ]

    def _repr_html_(self) -> str:
        """Returns the files as a table."""
        rows = [
            (file.format, self._place(file), f"{file.num_bytes / 1e6:.1f} MB", f"{file.tolerance:.0e}")
            for file in self.files
        ]
        return tables.table(("format", "file", "size", "verified to"), rows)

    def _place(self, file: ExportedFile) -> str:
        return self.path if file.file == "." else os.path.join(self.path, file.file)


def _reader_of(file: ExportedFile) -> str:
    stand_in = FORMATS[file.format].stand_in
    return f" with {stand_in}" if stand_in else ""


@takes_paths
def export(
    model: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("saved_model",),
    part: str = "backbone",
    images: Images | None = None,
    size_px: int | None = None,
    class_names: str | os.PathLike[str] | None = None,
    metrics: Sequence[str | os.PathLike[str]] | None = None,
    licence: str | None = None,
) -> Export:
    """Exports a network for use elsewhere, and compares each file's outputs with the network's in a fresh process.

    Args:
        model: A run, one of its checkpoints, a conversion, a `.keras` file, or a model from `load`.
        output_dir: Directory to write, or its URL; must not exist.
        formats: Some of saved_model, keras, litert_float32, litert_float16, litert_dynamic_int8, litert_int8, onnx,
            timm and hugging_face.
        part: Part of the network to export: backbone, head, prototypes or classifier.
        images: Images for the comparison and for int8 calibration; if None, the run's training images, or rendered
            images without a run.
        size_px: Side of the square that the network sees, in pixels; the model's own if None.
        class_names: File with one class name per line; the classifier's own if None.
        metrics: Files with evaluation results for the model card; the run's `evaluations.jsonl` if None.
        licence: Licence of the weights, for the model card.

    Raises:
        InputError: An argument is wrong, or a file differs by more than its format's tolerance. Nothing is written.
    """
    place, output = os.path.expanduser(os.fspath(model)), os.path.expanduser(os.fspath(output_dir))
    check_formats(formats)
    check_part(part)
    check_network(place)
    data = None if images is None else as_data(images)
    if data is not None:
        check_source(data)
    given = None if metrics is None else [result for file in metrics for result in read_file(file)]
    with new_directory(output) as directory:
        whole = _network(place, size_px, class_names, licence)
        found = _results_of_run(place, whole) if given is None else given
        network = whole.selected(part)
        if own_stage(place) == all_stages.NAME:
            network = dataclasses.replace(network, whitened=whitened_stages(place, whole))
        source = _images(network, place, data, formats)
        results = [dataclasses.asdict(result) for result in found]
        files = export_into(network, directory, source=source, formats=formats, metrics=results)
    return Export(output, files)


def _network(
    model: str, size_px: int | None, class_names: str | os.PathLike[str] | None, licence: str | None
) -> Network:
    """Returns the network with size, licence and class names from the arguments."""
    network = load_network(model)
    if size_px:
        network = dataclasses.replace(network, transform=network.transform.with_size(size_px))
    if licence:
        network = dataclasses.replace(network, metadata={**network.metadata, "licence": licence})
    return network.with_class_names(Path(class_names)) if class_names else network


def _results_of_run(model: str, network: Network) -> list[EvaluationResult]:
    """Returns the results in the run's own file that belong to this network, and not to other steps."""
    of_run = Path(model, "evaluations.jsonl")
    found = read_file(of_run) if of_run.is_file() else []
    return [result for result in found if result.digest in (None, model_digest(network))]


def _images(network: Network, model: str, images: Data | None, formats: Sequence[str]) -> Source:
    """Returns the given images, or else the network's training images, or else rendered images."""
    if images is not None:
        return open_source(images)
    if not network.data:
        calibrated = [name for name in formats if name in FORMATS and FORMATS[name].is_calibrated]
        if calibrated:
            raise InputError(
                f"{calibrated[0]} must be calibrated on images like those that the network will see, and {model} does "
                "not name its training images; name such images by `images`"
            )
        return open_source("builtin:test")
    try:
        return open_source(network.data)
    except InputError as error:
        raise InputError(f"{error}; or name other images for the comparison by `images`") from None

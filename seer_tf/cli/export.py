"""Writes a network in formats for use elsewhere; each file is loaded again in a fresh process and compared."""

import dataclasses
from pathlib import Path

from absl import flags

from seer_tf.cli import command
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import check_source, open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import model_digest
from seer_tf.evaluation.result import EvaluationResult, read_file
from seer_tf.exporting.exporter import export_into
from seer_tf.exporting.registry import FORMATS, check_formats
from seer_tf.files.new_directory import new_directory
from seer_tf.networks.load import check_network, load_network
from seer_tf.networks.network import PARTS, Network, check_part

MODEL = command.required(
    flags.DEFINE_string(
        "model",
        None,
        "A run, one of its checkpoints (RUN/checkpoints/step-500), what convert_checkpoint.py wrote, or a .keras file.",
    )
)
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write; must not exist."))
PART = flags.DEFINE_string("part", "backbone", f"What stands on the backbone: {', '.join(PARTS)}.")
FORMATS_ = flags.DEFINE_list("formats", ["saved_model"], f"Some of {', '.join(FORMATS)}.")
IMAGES = flags.DEFINE_string(
    "images", None, "Images to compare on and to calibrate int8 with. [what a run was trained on, else rendered ones]"
)
SIZE_PX = flags.DEFINE_integer("size_px", None, "Side of the network's square. [the model's own]", lower_bound=1)
CLASS_NAMES = flags.DEFINE_string("class_names", None, "File with a class a line. [those that the classifier knows]")
METRICS = flags.DEFINE_multi_string(
    "metrics", None, "File of results of evaluations, for the card. [RUN/evaluations.jsonl of a run, where it is]"
)
LICENCE = flags.DEFINE_string("licence", None, "Of the weights, for the card. [not stated]")


def main() -> None:
    """Runs the command."""
    check_formats(FORMATS_.value)
    check_part(PART.value)
    check_network(MODEL.value)
    if IMAGES.value:
        check_source(IMAGES.value)
    given = None if METRICS.value is None else [outcome for file in METRICS.value for outcome in read_file(file)]
    with new_directory(OUTPUT.value) as directory:
        whole = _network()
        found = _results_of_run(whole) if given is None else given
        metrics = [dataclasses.asdict(outcome) for outcome in found]
        network = whole.selected(PART.value)
        source = _images(network)
        files = export_into(network, directory, source=source, formats=FORMATS_.value, metrics=metrics)
    for file in files:
        print(
            f"{file.format}: {Path(OUTPUT.value, file.file)}, {file.num_bytes / 1e6:.1f} MB, largest difference in a "
            f"fresh process {file.largest_difference:.1e} of the largest value ({file.tolerance:.0e} allowed)"
        )


def _results_of_run(network: Network) -> list[EvaluationResult]:
    """Returns what a run's own file says of this network and not of other steps."""
    of_run = Path(MODEL.value, "evaluations.jsonl")
    found = read_file(of_run) if of_run.is_file() else []
    return [outcome for outcome in found if outcome.digest in (None, model_digest(network))]


def _images(network: Network) -> Source:
    """Returns the images of --images, or else those that the network was trained on, or else rendered ones."""
    if IMAGES.value:
        return open_source(IMAGES.value)
    if not network.data:
        calibrated = [name for name in FORMATS_.value if name in FORMATS and FORMATS[name].is_calibrated]
        if calibrated:
            raise InputError(
                f"{calibrated[0]} is calibrated on images such as the network will see, and {MODEL.value} does not say "
                "on which it was trained; name some by --images"
            )
        return open_source("builtin:test")
    try:
        return open_source(network.data)
    except InputError as error:
        raise InputError(f"{error}; or name other images to compare on by --images") from None


def _network() -> Network:
    """Returns the network of --model with what the other flags say of it."""
    network = load_network(MODEL.value)
    if SIZE_PX.value:
        network = dataclasses.replace(network, transform=network.transform.with_size(SIZE_PX.value))
    if LICENCE.value:
        network = dataclasses.replace(network, metadata={**network.metadata, "licence": LICENCE.value})
    if CLASS_NAMES.value:
        network = network.with_class_names(Path(CLASS_NAMES.value))
    return network

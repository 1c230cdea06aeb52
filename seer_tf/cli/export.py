"""Exports a network for use elsewhere, and compares each file's outputs with the network's in a fresh process."""

from absl import flags

from seer_tf.api.exporting import export
from seer_tf.cli import command
from seer_tf.exporting.registry import FORMATS
from seer_tf.networks.network import PARTS

MODEL = command.required(
    flags.DEFINE_string(
        "model",
        None,
        "A run, one of its checkpoints (RUN/checkpoints/step-500), a directory from convert_checkpoint.py, or a .keras "
        "file.",
    )
)
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write; must not exist."))
PART = flags.DEFINE_string("part", "backbone", f"Part of the network to export: {', '.join(PARTS)}.")
FORMATS_ = flags.DEFINE_list("formats", ["saved_model"], f"Some of {', '.join(FORMATS)}.")
IMAGES = flags.DEFINE_string(
    "images", None, "Images for the comparison and for int8 calibration. [the run's training images, or rendered ones]"
)
SIZE_PX = flags.DEFINE_integer(
    "size_px", None, "Side of the square that the network sees, in pixels. [the model's own]", lower_bound=1
)
CLASS_NAMES = flags.DEFINE_string("class_names", None, "File with one class name per line. [the classifier's own]")
METRICS = flags.DEFINE_multi_string(
    "metrics", None, "File with evaluation results for the model card. [a run's RUN/evaluations.jsonl]"
)
LICENCE = flags.DEFINE_string("licence", None, "Licence of the weights, for the model card. [not stated]")


def main() -> None:
    """Runs the command."""
    written = export(
        MODEL.value,
        OUTPUT.value,
        formats=FORMATS_.value,
        part=PART.value,
        images=IMAGES.value or None,
        size_px=SIZE_PX.value,
        class_names=CLASS_NAMES.value,
        metrics=METRICS.value,
        licence=LICENCE.value,
    )
    print(*written.lines(), sep="\n")

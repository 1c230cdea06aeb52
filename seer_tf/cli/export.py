"""Writes a network in formats for use elsewhere; each file is loaded again in a fresh process and compared."""

from absl import flags

from seer_tf.api.exporting import export
from seer_tf.cli import command
from seer_tf.exporting.registry import FORMATS
from seer_tf.networks.network import PARTS

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

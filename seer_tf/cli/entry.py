"""Entry points: `seer-tf COMMAND`, `python -m seer_tf.cli COMMAND` and `python experiments/COMMAND.py`."""

import difflib
import importlib
import sys

from seer_tf import environment
from seer_tf.cli import command, quiet_start

COMMANDS = {
    "pretrain": "Pretrain a backbone on images without labels.",
    "prepare_shards": "Write shuffled, checked shards of images.",
    "demo": "Pretrain, evaluate and export a small network, and write a report.",
    "plan_run": "Print parameters, memory, reductions and days of a run.",
    "check_devices": "Check that the devices of this host compute.",
    "check_cluster": "Check that hosts reach each other, and how fast.",
    "compare_methods": "Compare SwAV, SimCLR, MoCo and BYOL on your images.",
    "compare_runs": "Show runs side by side on a page.",
    "extract_features": "Extract features once, for all evaluations.",
    "knn": "Evaluate features by nearest neighbours.",
    "linear_probe": "Evaluate features by a linear classifier.",
    "linear_svm": "Evaluate features by linear SVMs on several labels per image.",
    "retrieval": "Evaluate features by retrieval, and show neighbours.",
    "copy_detection": "Find copies of images, and evaluate that on CopyDays.",
    "robustness": "Evaluate a classifier on other test sets.",
    "geolocation": "Measure how far a classifier of places is off.",
    "browse_clusters": "Assign images to clusters, as a table and a page.",
    "embed": "Show how a network orders images: a map, and TensorBoard's projector.",
    "finetune": "Fine-tune a network on labelled images.",
    "finetune_detector": "Fine-tune an object detector.",
    "report": "Collect evaluations on one page.",
    "convert_checkpoint": "Convert released weights of SEER or MoCo to Keras models.",
    "export": "Write a network as SavedModel, .keras, LiteRT or ONNX, or for PyTorch.",
}

#: These commands, and the processes that they start, see no GPU. TensorFlow would take memory there, which a training
#: on the same host may need.
WITHOUT_GPU = ("prepare_shards", "plan_run", "compare_runs", "report", "convert_checkpoint", "export")


def start(name: str) -> None:
    """Runs a command with the flags in `sys.argv`.

    Only the module of that command is imported, because the flags of all modules share one namespace.

    Args:
        name: A key of `COMMANDS`.
    """
    if name in WITHOUT_GPU:
        quiet_start.hide_gpus()
    with command.signals_answered():  # also while TensorFlow is imported
        command.answer_errors(environment.check_keras)
        module = importlib.import_module(f"seer_tf.cli.{name}")
        command.run(module.main, words=getattr(module, "POSITIONAL", None))


def main() -> None:
    """Runs `seer-tf COMMAND [flags]`."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        print(_usage())
        sys.exit(0)
    name = name.replace("-", "_")  # seer-tf check-devices
    if name not in COMMANDS:
        nearest = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "seer-tf --help lists them"
        print(f"error: there is no command {name!r}; {hint}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"{sys.argv[0]} {name}", *sys.argv[2:]]
    start(name)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = (f"  {name.ljust(width)}  {summary}" for name, summary in COMMANDS.items())
    return "\n".join(["usage: seer-tf COMMAND [flags]; seer-tf COMMAND --help lists the flags", "", *lines])

"""Writes the backbone of a run as a SavedModel that needs TensorFlow alone, and checks it in a fresh process."""

from absl import flags

from experiments import command
from seer_tf.export.saved_model import export_saved_model, run_metadata
from seer_tf.train.checkpoints import load_model
from seer_tf.train.run_directory import RunDirectory

RUN_DIR = flags.DEFINE_string("run_dir", None, "Directory of the run.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "Directory to write; must not exist. [RUN_DIR/export]")
SIZE_PX = flags.DEFINE_integer("size_px", None, "Side of the centre crop. [the run's largest crop]", lower_bound=1)


def main() -> None:
    """Runs the command."""
    config, model = load_model(RUN_DIR.value)
    output = OUTPUT.value or RunDirectory(RUN_DIR.value).export
    difference = export_saved_model(
        model,
        size_px=SIZE_PX.value or config.crops.sizes_px[0],
        output_dir=output,
        metadata=run_metadata(config),
    )
    print(f"{output}: loaded in a fresh process, largest difference {difference:.1e}")


if __name__ == "__main__":
    command.run(main)

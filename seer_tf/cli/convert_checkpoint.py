"""Converts a released checkpoint of SEER, another RegNetY or MoCo's ResNet-50 to Keras models and a SavedModel."""

from absl import flags

from seer_tf.cli import command
from seer_tf.data.sources.registry import open_source
from seer_tf.exporting.exporter import export
from seer_tf.files.new_directory import new_directory
from seer_tf.models.backbones.regnet import published
from seer_tf.models.backbones.released import convert
from seer_tf.networks.load import of_converted
from seer_tf.quantities import counted

CHECKPOINT = command.required(
    flags.DEFINE_string(
        "checkpoint",
        None,
        "File from VISSL (.torch), Hugging Face, timm, torchvision (.safetensors, .bin, .pth) or MoCo (.pth.tar); for "
        "a checkpoint in parts, its index (.index.json) or its directory.",
    )
)
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write; must not exist."))


_UNKNOWN = "this is no released file of SEER, so read the licence of whoever published it"


def main() -> None:
    """Runs the command."""
    with new_directory(OUTPUT.value) as directory:
        network = convert(CHECKPOINT.value)
        network.save(directory)
        (saved_model,) = export(of_converted(network), directory / "saved_model", source=open_source("builtin:test"))
    is_seer = network.licence == published.LICENCE
    print(published.LICENCE_NOTICE if is_seer else f"licence: {network.licence or _UNKNOWN}")
    print(f"{network.title} in the layout of {network.layout}")
    print(f"matched: {counted(len(network.matched), 'tensor')}")
    print(f"unused: {counted(len(network.unused), 'tensor')}", *network.unused, sep="\n  ")
    print("missing: none")
    difference = f"largest difference {saved_model.largest_difference:.1e}"
    print(f"{OUTPUT.value}: written; the SavedModel was loaded in a fresh process, {difference}")

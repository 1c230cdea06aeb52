"""The card of an exported network: metadata.json for programs, README.md for people."""

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import keras
import tensorflow as tf

import seer_tf
from seer_tf.networks.network import Network

# S evaluation size
_MEANINGS = {
    "features": "mean of the last stage over its pixels",
    "embeddings": "SwAV's projection of the features, of unit norm",
    "cluster": "number of the prototype that the embedding is nearest to",
    "cluster_score": "cosine of the angle between the two",
    "probabilities": "of each class, in the order of class_names",
}


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """A file that was loaded again and compared.

    Attributes:
        format: Name of the format.
        file: Below the directory of the export.
        num_bytes: Size of the file.
        largest_difference: Largest difference from the network in float32, relative to the largest value of an output.
        tolerance: Tolerance that the format has.
    """

    format: str
    file: str
    num_bytes: int
    largest_difference: float
    tolerance: float


@dataclasses.dataclass(frozen=True)
class Card:
    """What is written about an export.

    Attributes:
        network: Network with the part selected that was exported.
        files: What was written.
        metrics: What evaluations found, in JSON's types: `evaluation`, `protocol`, `metric`, `value`, `interval`,
            `model`, `train_data` and `test_data` of each, and what else it has.
        num_compared: Images that the files were compared on.
    """

    network: Network
    files: Sequence[ExportedFile]
    metrics: Sequence[Mapping[str, Any]]
    num_compared: int

    def write(self, directory: Path) -> None:
        """Writes metadata.json and README.md."""
        metadata = self.metadata()
        (directory / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", "utf-8")
        (directory / "README.md").write_text(self.readme(metadata), "utf-8")

    def metadata(self) -> dict[str, Any]:
        """Returns all that is known, in JSON's types."""
        outputs = self.network.on_images.output
        return {
            **self.network.metadata,
            "feature_dim": int(outputs["features"].shape[-1]),
            "outputs": {
                name: {"shape": list(output.shape), "dtype": output.dtype, "meaning": _MEANINGS[name]}
                for name, output in outputs.items()
            },
            "class_names": list(self.network.class_names),
            "preprocessing": preprocessing(self.network),
            "metrics": list(self.metrics),
            "files": [dataclasses.asdict(file) for file in self.files],
            "compared_on_num_images": self.num_compared,
            "versions": _versions(),
        }

    def readme(self, metadata: Mapping[str, Any]) -> str:
        """Returns the card for people, in Markdown."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("seer_tf.exporting", package_path=""),
            autoescape=False,  # Markdown, not HTML
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters |= {"shape": _shape, "percent": lambda value: f"{100 * value:.2f}"}
        side = self.network.size_px
        return environment.get_template("card.md.jinja2").render(**metadata, side=side)


def preprocessing(network: Network) -> dict[str, Any]:
    """Returns the way from a file to normalised crops, enough to repeat it elsewhere."""
    side = network.size_px
    kept = {} if network.transform.resize_px else {"unchanged_when": f"the image is {side} x {side} already"}
    return {
        "resize_shorter_side_px": network.transform.shorter_px,
        "interpolation": f"{network.transform.interpolation} with antialias",
        "center_crop_px": network.size_px,
        **kept,
        "scale": 1 / 255,
        "mean": list(network.mean),
        "std": list(network.std),
        "exif_orientation": "applied by serve_encoded to JPEG files; ignored in files of other kinds",
    }


def _shape(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("B" if side is None else str(side) for side in shape) + "]"


def _versions() -> dict[str, str]:
    return {
        "seer_tf": seer_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
    }

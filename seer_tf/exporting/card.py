"""The card of an exported network: metadata.json for programs, README.md for people."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from seer_tf.errors import printable_lines
from seer_tf.networks.network import Network
from seer_tf.versions import versions

# S evaluation size
_MEANINGS = {
    "features": "mean of the last stage over its pixels",
    "all_stages": "mean, deviation and maximum of every stage, whitened: the features that the run's results are for",
    "embeddings": "SwAV's projection of the features, with unit norm",
    "cluster": "number of the prototype nearest to the embedding",
    "cluster_score": "cosine of the angle between embedding and nearest prototype",
    "probabilities": "probability of each class, in the order of class_names",
}


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """An exported file that was loaded again and compared with the network.

    Attributes:
        format: Name of the format.
        file: Path below the directory of the export.
        num_bytes: Size of the file.
        largest_difference: Largest difference from the network in float32, relative to the largest value of an output.
        tolerance: Largest difference that the format allows.
    """

    format: str
    file: str
    num_bytes: int
    largest_difference: float
    tolerance: float


@dataclasses.dataclass(frozen=True)
class Card:
    """The description of an export.

    Attributes:
        network: Network whose exported part is selected.
        files: Files of the export.
        metrics: Evaluation results as JSON values, each with `evaluation`, `protocol`, `metric`, `value`, `interval`,
            `model`, `train_data`, `test_data` and further details.
        num_compared: Number of images that the files were compared on.
    """

    network: Network
    files: Sequence[ExportedFile]
    metrics: Sequence[Mapping[str, Any]]
    num_compared: int

    def write(self, directory: Path) -> None:
        """Writes metadata.json and README.md."""
        metadata = self.metadata()
        (directory / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", "utf-8")
        (directory / "README.md").write_text(printable_lines(self.readme(metadata)), "utf-8")

    def metadata(self) -> dict[str, Any]:
        """Returns all facts about the export, as JSON values."""
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
            "versions": versions(),
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
        side, family = self.network.size_px, type(self.network.backbone).__name__
        return environment.get_template("card.md.jinja2").render(**metadata, side=side, family=family)


def preprocessing(network: Network) -> dict[str, Any]:
    """Returns the steps from a file to normalised crops, with enough detail to repeat them elsewhere."""
    side = network.size_px
    kept = {} if network.transform.resize_px else {"unchanged_when": f"the image already is {side} x {side}"}
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

"""The networks in a released checkpoint as Keras models, with an account of all its tensors."""

import dataclasses
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from seer_tf.files import sealed_json
from seer_tf.models.backbone import Backbone
from seer_tf.models.backbones.regnet import published
from seer_tf.models.encoder import Encoder


@dataclasses.dataclass(frozen=True, eq=False)
class ConvertedNetwork(Encoder):
    """The networks in a checkpoint, as Keras models in float32. Pooled features are [N, C] with the backbone's width C.

    Attributes:
        source: Name of the file.
        layout: Name of the layout that the tensor names follow.
        variant: Variant of the backbone, e.g. 32GF or resnet50.
        backbone: Model from normalised images to feature maps. It carries the licence of the weights.
        swav_head: Model from [N, C] to "embeddings" [N, D] and "scores" [N, K]; None if the file holds no head.
        classifier: Model from [N, C] to logits [N, classes]; None if the file holds no classifier.
        projection: Model from [N, C] to embeddings [N, D] of any norm; None if the file holds no projection alone.
        matched: Names of the tensors that fill a variable.
        unused: Names of the other tensors.
        mean: Mean of the red, green and blue channel, for images between 0 and 1.
        std: Standard deviation of these channels.
    """

    source: str
    layout: str
    variant: str
    backbone: Backbone
    swav_head: keras.Model | None
    classifier: keras.Model | None
    matched: tuple[str, ...]
    unused: tuple[str, ...]
    projection: keras.Model | None = None
    mean: tuple[float, ...] = published.MEAN
    std: tuple[float, ...] = published.STD

    @property
    def release(self) -> published.PublishedModel | None:
        """The released network of this variant, the fine-tuned one if there is a classifier; None if not released."""
        return published.find(self.variant, fine_tuned=self.classifier is not None)

    @property
    def title(self) -> str:
        """Returns the name of the backbone for people, e.g. RegNetY-32GF."""
        return self.variant if self.variant.startswith("res") else f"RegNetY-{self.variant}"

    def metadata(self) -> dict[str, Any]:
        """Returns the origin and the licence of the weights, as JSON types."""
        return {
            "variant": self.variant,
            "stem_stride": self.backbone.stem_stride,
            "converted_from": self.source,
            "names_of": self.layout,
            **published.licence_fields(self.licence),
        }

    def save(self, directory: Path) -> None:
        """Writes the models, the licence notice, and metadata.json with the names of all tensors.

        The backbone is written to `model.keras`, and each head to a file with its name.
        """
        heads = {"swav_head": self.swav_head, "classifier": self.classifier, "projection": self.projection}
        for name, model in {"model": self.backbone, **heads}.items():
            if model is not None:
                _save(model, directory / f"{name}.keras")
        published.add_notice(directory, self.licence)
        account = {**self.metadata(), "matched": self.matched, "unused": self.unused}
        (directory / "metadata.json").write_text(sealed_json.text(account))


def _save(model: keras.Model, path: Path) -> None:
    """Writes a `.keras` file from parts on disk. Keras itself would assemble the file in memory if it fits."""
    with tempfile.TemporaryDirectory(dir=path.parent) as parts, zipfile.ZipFile(path, "w") as archive:
        model.save(parts, zipped=False)
        for part in ("metadata.json", "config.json", "model.weights.h5"):
            archive.write(Path(parts, part), part)

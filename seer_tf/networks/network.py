"""A network for export: a backbone with its head or classifier, as float32 Keras models with named outputs.

Shapes: B images, S evaluation size, C feature channels, D embedding dimensions, K prototypes, L classes.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seer_tf.data.images.transform import Transform
from seer_tf.errors import InputError
from seer_tf.models import Backbone, Encoder, SwavHead, all_stages
from seer_tf.models.all_stages import AllStages
from seer_tf.models.outputs import ClassProbabilities, NearestPrototype
from seer_tf.models.stage_maps import AVGPOOL, in_order, stage_maps

PARTS = ("backbone", "head", "prototypes", "classifier")


@dataclasses.dataclass(frozen=True, eq=False)
class Network(Encoder):
    """A network and its metadata. Absent parts are None or empty.

    Attributes:
        backbone: Model from normalised crops [B, h, w, 3] to [B, h', w', C].
        mean: Mean of the red, green and blue channel, for images between 0 and 1.
        std: Standard deviation of these channels.
        transform: Transform from an image to the crop of side S for evaluation.
        head: Layer from pooled features [B, C] to embeddings [B, D] and scores.
        classifier: Layer or model from pooled features [B, C] to logits [B, L].
        class_names: Names of the classes, in the order of the logits.
        reads_prototypes: Whether the outputs use the head's scores, or only its embeddings.
        whitened: Layer for features of all stages.
        metadata: Entries of the model card, as JSON types.
        data: Data spec of images like the training images; empty if unknown.
    """

    backbone: Backbone
    mean: tuple[float, ...]
    std: tuple[float, ...]
    transform: Transform
    head: SwavHead | None = None
    classifier: keras.layers.Layer | None = None
    class_names: tuple[str, ...] = ()
    reads_prototypes: bool = True
    whitened: AllStages | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: str = ""

    @property
    def size_px(self) -> int:
        """S, the side of the crop for evaluation, in pixels."""
        return self.transform.size_px

    @property
    def prototypes(self) -> np.ndarray:
        """The prototypes, float32 [K, D], rows of unit norm.

        Raises:
            InputError: The network has no prototypes.
        """
        if self.head is None:
            raise InputError(f"this network has no prototypes: it has {self._contents()}; give one that has prototypes")
        return self.head.prototypes.value.numpy()

    def selected(self, part: str) -> "Network":
        """Returns the backbone with one other part, in float32 and for one device, whatever the training precision.

        Args:
            part: "backbone" alone, "head" for embeddings, "prototypes" for clusters too, or "classifier".

        Raises:
            InputError: The part does not exist, or this network does not have it.
        """
        check_part(part)
        needed = {"backbone": self.backbone, "classifier": self.classifier}.get(part, self.head)
        if needed is None:
            raise InputError(f"this network has no {part}: it has {self._contents()}; take one of these")
        if part == "classifier" and not self.class_names:
            raise InputError("the classifier does not name its classes; give the names with `class_names`")
        return dataclasses.replace(
            self,
            backbone=_in_float32(self.backbone, (None, None, None, 3)),
            head=_in_float32(self.head, self._features_shape) if part in ("head", "prototypes") else None,
            classifier=_in_float32(self.classifier, self._features_shape) if part == "classifier" else None,
            class_names=self.class_names if part == "classifier" else (),
            reads_prototypes=part == "prototypes",
        )

    def with_class_names(self, file: Path) -> "Network":
        """Returns the network with class names from a text file that has one name per line.

        Raises:
            InputError: The file cannot be read, there is no classifier, or its number of classes is different.
        """
        try:
            names = tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read as a list of class names: {error}") from None
        if self.classifier is None:
            raise InputError(f"{file} names classes, but this network has no classifier: it has {self._contents()}")
        num_classes = self.classifier.compute_output_shape(self._features_shape)[-1]
        if len(names) != num_classes:
            raise InputError(
                f"{file} names {len(names)} classes, but the classifier has {num_classes}; name all classes in order"
            )
        return dataclasses.replace(self, class_names=names)

    def _contents(self) -> str:
        parts = ["a backbone"]
        parts += ["a head", "prototypes"] if self.head is not None else []
        parts += ["a classifier"] if self.classifier is not None else []
        return ", ".join(parts) + (" alone" if len(parts) == 1 else "")

    @property
    def _features_shape(self) -> tuple[int | None, int]:
        return (None, self.backbone.output_shape[-1])

    @functools.cached_property
    def on_crops(self) -> keras.Model:
        """Model from normalised crops, float32 [B, h, w, 3], to outputs by name."""
        crops = keras.Input((None, None, 3), name="crops", dtype="float32")
        return keras.Model(crops, self._outputs(crops), name="on_crops")

    @functools.cached_property
    def on_images(self) -> keras.Model:
        """Model from crops with pixel values as in a file, uint8 [B, h, w, 3], to outputs by name."""
        images = keras.Input((None, None, 3), name="images", dtype="uint8")
        scale = [1.0 / (255.0 * std) for std in self.std]
        offset = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        crops = keras.layers.Rescaling(scale, offset, name="normalize", dtype="float32")(images)
        return keras.Model(images, self._outputs(crops), name="on_images")

    def _outputs(self, crops: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
        maps = self.backbone(crops) if self.whitened is None else stage_maps(self.backbone)(crops)
        last = maps if self.whitened is None else maps[AVGPOOL]
        features = keras.layers.GlobalAveragePooling2D(name="features", dtype="float32")(last)
        outputs = {"features": features}
        if self.whitened is not None:
            outputs[all_stages.NAME] = self.whitened(in_order(self.backbone, maps))
        if self.head is not None:
            outputs["embeddings"], scores = self.head(features)
            if self.reads_prototypes:
                outputs |= NearestPrototype(name="nearest_prototype")(scores)
        if self.classifier is not None:
            logits = self.classifier(features)
            outputs["probabilities"] = ClassProbabilities(self.class_names, name="probabilities")(logits)
        return outputs


def check_part(part: str) -> None:
    """Raises an error if no network can have such a part.

    Raises:
        InputError: The part does not exist; the message names the most similar one.
    """
    if part not in PARTS:
        raise InputError.unknown("part of a network", part, PARTS)


def _in_float32(layer: Any, input_shape: tuple[int | None, ...]) -> Any:
    """Returns a copy of a layer or model for inference on one device, in float32."""
    if isinstance(layer, keras.Model) and not isinstance(layer, Backbone):
        copy = keras.models.clone_model(layer, clone_function=_remade)
    else:
        copy = _remade(layer)
    if not copy.built:
        copy.build(input_shape)
    copy.set_weights(layer.get_weights())
    return copy


def _remade(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns the layer with fresh float32 weights, and without the settings for training on many devices."""
    config = layer.get_config()
    plain = {"dtype": "float32", "synchronized": False, "activation_checkpointing": "none"}
    return type(layer).from_config({**config, **{name: plain[name] for name in plain.keys() & config.keys()}})

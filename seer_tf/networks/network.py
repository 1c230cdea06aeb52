"""What is exported: a backbone and what stands on it, in float32, as Keras models of named outputs.

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
from seer_tf.models import Backbone, Encoder, SwavHead
from seer_tf.models.outputs import ClassProbabilities, NearestPrototype

PARTS = ("backbone", "head", "prototypes", "classifier")


@dataclasses.dataclass(frozen=True, eq=False)
class Network(Encoder):
    """A network and what is known of it. What is None or empty is not there.

    Attributes:
        backbone: Normalised crops [B, h, w, 3] to [B, h', w', C].
        mean: Mean of the red, green and blue channel, for images between 0 and 1.
        std: Standard deviation of these channels.
        transform: Transform from an image to the crop of side S that it is evaluated on.
        head: Pooled features [B, C] to embeddings [B, D] and scores.
        classifier: Pooled features [B, C] to logits [B, L].
        class_names: Names of the classes, in the order of the logits.
        reads_prototypes: Whether the head's scores are read, or its embeddings alone.
        metadata: What the card says of it, in JSON's types.
        data: Data flag of images such as it was trained on; empty where it is not known.
    """

    backbone: Backbone
    mean: tuple[float, ...]
    std: tuple[float, ...]
    transform: Transform
    head: SwavHead | None = None
    classifier: keras.layers.Layer | None = None
    class_names: tuple[str, ...] = ()
    reads_prototypes: bool = True
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: str = ""

    @property
    def size_px(self) -> int:
        """S."""
        return self.transform.size_px

    @property
    def prototypes(self) -> np.ndarray:
        """Float32 [K, D], rows of unit norm.

        Raises:
            InputError: there are none.
        """
        if self.head is None:
            raise InputError(f"this network has no prototypes: it has {self._contents()}; give one with them")
        return self.head.prototypes.value.numpy()

    def selected(self, part: str) -> "Network":
        """Returns the backbone with one thing on it, all in float32 and for one device, whatever it was trained in.

        Args:
            part: "backbone" alone, "head" for embeddings, "prototypes" for clusters too, or "classifier".

        Raises:
            InputError: there is no such part, or it is not in this network.
        """
        check_part(part)
        needed = {"backbone": self.backbone, "classifier": self.classifier}.get(part, self.head)
        if needed is None:
            raise InputError(f"this network has no {part}: it has {self._contents()}; take one of these")
        if part == "classifier" and not self.class_names:
            raise InputError("the classifier does not say what its classes are called; give their names, `class_names`")
        return dataclasses.replace(
            self,
            backbone=_in_float32(self.backbone, (None, None, None, 3)),
            head=_in_float32(self.head, self._features_shape) if part in ("head", "prototypes") else None,
            classifier=_in_float32(self.classifier, self._features_shape) if part == "classifier" else None,
            class_names=self.class_names if part == "classifier" else (),
            reads_prototypes=part == "prototypes",
        )

    def with_class_names(self, file: Path) -> "Network":
        """Returns the network with names for its classes, one on each line of a text file.

        Raises:
            InputError: the file cannot be read, there is no classifier, or it has another number of classes.
        """
        try:
            names = tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read as names of classes: {error}") from None
        if self.classifier is None:
            raise InputError(f"{file} names classes, and this network has no classifier: it has {self._contents()}")
        num_classes = self.classifier.compute_output_shape(self._features_shape)[-1]
        if len(names) != num_classes:
            raise InputError(
                f"{file} names {len(names)} classes, and the classifier has {num_classes}; name all in order"
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
        """From normalised crops, float32 [B, h, w, 3], to outputs by name."""
        crops = keras.Input((None, None, 3), name="crops", dtype="float32")
        return keras.Model(crops, self._outputs(self.backbone(crops)), name="on_crops")

    @functools.cached_property
    def on_images(self) -> keras.Model:
        """From crops as they are in a file, uint8 [B, h, w, 3], to outputs by name."""
        images = keras.Input((None, None, 3), name="images", dtype="uint8")
        scale = [1.0 / (255.0 * std) for std in self.std]
        offset = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        crops = keras.layers.Rescaling(scale, offset, name="normalize", dtype="float32")(images)
        return keras.Model(images, self._outputs(self.backbone(crops)), name="on_images")

    def _outputs(self, maps: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
        features = keras.layers.GlobalAveragePooling2D(name="features", dtype="float32")(maps)
        outputs = {"features": features}
        if self.head is not None:
            outputs["embeddings"], scores = self.head(features)
            if self.reads_prototypes:
                outputs |= NearestPrototype(name="nearest_prototype")(scores)
        if self.classifier is not None:
            logits = self.classifier(features)
            outputs["probabilities"] = ClassProbabilities(self.class_names, name="probabilities")(logits)
        return outputs


def check_part(part: str) -> None:
    """Raises an error if there is no such part of any network.

    Raises:
        InputError: naming the nearest.
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
    """Returns the layer with fresh weights in float32, and without what only training on many devices needs."""
    config = layer.get_config()
    plain = {"dtype": "float32", "synchronized": False, "activation_checkpointing": "none"}
    return type(layer).from_config({**config, **{name: plain[name] for name in plain.keys() & config.keys()}})

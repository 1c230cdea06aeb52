"""A backbone of any functional Keras model."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from seer_tf.distributed.fresh_thread import in_fresh_thread
from seer_tf.errors import InputError
from seer_tf.models.backbone import Backbone
from seer_tf.models.backbones.keras_model import graph, layers
from seer_tf.models.backbones.keras_model.preprocessing import Preprocessing
from seer_tf.models.backbones.keras_model.source import flat, read_model, read_source


@keras.saving.register_keras_serializable(package="seer_tf")
class KerasBackbone(Backbone):
    """A backbone with the layers of a Keras model.

    Attributes:
        architecture: The Keras model as JSON.
        expects: What the model behind its first layer expects of images, a name of `preprocessing.KINDS`.
    """

    def __init__(
        self,
        variant: str,
        *,
        architecture: str | keras.Model,
        stem_stride: int = 2,
        synchronized: bool = False,
        group_replicas: int = 0,
        activation_checkpointing: str = "none",
        licence: str = "",
        name: str = "backbone",
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        """Makes the network, with the weights of the model or, if only its JSON is given, with fresh ones.

        Args:
            variant: Name of the model.
            architecture: Flat functional model, or its JSON.
            stem_stride: 2 to leave the strides of the model as they are, 1 to halve the first one.
            synchronized: As in `BatchNormalization`.
            group_replicas: As in `BatchNormalization`.
            activation_checkpointing: "none": the blocks of the model are unknown.
            licence: Licence of the weights that the network will get.
            name: Name of the model.
            dtype: Dtype or dtype policy of every layer; None for Keras's global policy.
            **kwargs: Further arguments of `keras.Model`.

        Raises:
            InputError: A layer of the model cannot be trained here.
        """
        if activation_checkpointing != "none":
            raise InputError(
                f"activation_checkpointing={activation_checkpointing}: the blocks of a Keras model are unknown, so "
                "nothing can be recomputed; set it to none"
            )
        model = from_json(architecture) if isinstance(architecture, str) else architecture
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        norm = {"synchronized": synchronized, "group_replicas": group_replicas}
        stem = graph.stem_of(model) if stem_stride == 1 else ""
        image, outputs = in_fresh_thread(
            lambda: _translated(model, policy=policy, norm=norm, stem=stem), dtype=policy, replicated=True
        )
        levels = graph.pyramid(model)
        super().__init__(image, outputs[list(levels.values())[-1]], name=name, **kwargs)
        layers.check_trainable(self, synchronized=synchronized)
        _copy_weights(model, self)
        self.dtype_policy = policy
        self.pyramid_outputs = {level: outputs[of] for level, of in levels.items()}
        self.architecture = architecture if isinstance(architecture, str) else model.to_json()
        self.expects = next((layer.kind for layer in self.layers if isinstance(layer, Preprocessing)), "normalized")
        self.variant, self.stem_stride, self.licence = variant, stem_stride, licence
        self.synchronized, self.group_replicas = synchronized, group_replicas
        self.activation_checkpointing = activation_checkpointing

    def check_size(self, size_px: int) -> None:
        """Raises an error if the network cannot take square images of this size.

        Args:
            size_px: Side of the images in pixels.

        Raises:
            InputError: It cannot.
        """
        try:
            fits = min(self.compute_output_shape((1, size_px, size_px, 3))[1:-1]) > 0
        except ValueError:
            fits = False
        if not fits:
            raise InputError(f"images of {size_px} px are too small for {self.variant}; set a larger crops.sizes_px")

    def take_weights(self, file: Path) -> None:
        """Loads weights of this model from a file that Keras or the user's own program wrote.

        Args:
            file: `.weights.h5`, `.h5` or `.keras` file.

        Raises:
            InputError: The file cannot be read, or holds another model.
        """
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="Skipping")  # a layer would keep its weights
                model = read_model(str(file) if file.suffix == ".keras" else self.variant)
                if file.suffix != ".keras":
                    model.load_weights(file)
            _copy_weights(flat(model, self.variant), self)
        except (OSError, ValueError, KeyError, UserWarning) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"`backbone.weights={file}` has no weights for {self.variant} without its top: {reason}"
            ) from None

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as JSON types."""
        names = ("variant", "architecture", "stem_stride", "synchronized", "group_replicas", "activation_checkpointing")
        return {
            **{name: getattr(self, name) for name in (*names, "licence", "name", "trainable")},
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "KerasBackbone":
        """Makes the network that `get_config` describes, with fresh weights."""
        return cls(**config)


def build(variant: str, **kwargs: Any) -> KerasBackbone:
    """Returns the backbone that a config names, with the weights that its function or file gives.

    Args:
        variant: As in `read_source`.
        **kwargs: Further arguments of `KerasBackbone`.

    Raises:
        InputError: There is no such model, or it cannot be trained here.
    """
    return KerasBackbone(variant, architecture=read_source(variant), **kwargs)


def from_json(architecture: str) -> keras.Model:
    """Returns the model in a JSON text, with fresh weights."""
    return in_fresh_thread(lambda: keras.models.model_from_json(architecture))


def _translated(model: keras.Model, **how: Any) -> tuple[keras.KerasTensor, dict[str, keras.KerasTensor]]:
    """Returns a new image tensor, and the outputs of translated layers on it, by the name of the layer."""
    image = keras.Input((None, None, 3), name="image", dtype=how["policy"].variable_dtype)
    made: dict[int, Callable[..., Any]] = {}
    outputs: dict[str, Any] = {}

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if id(operation) not in made:  # a layer may be called twice
            made[id(operation)] = layers.translated(operation, **how)
        outputs[operation.name] = made[id(operation)](*args, **kwargs)
        return outputs[operation.name]

    graph.run_through(model, image, call)
    return image, outputs


def _copy_weights(model: keras.Model, into: keras.Model) -> None:
    """Copies weights between layers of the same name.

    Raises:
        ValueError: A weight is missing or has another shape.
    """
    layers_of = {layer.name: layer for layer in into.layers}
    for layer in model.layers:
        weights = layers_of[layer.name].weights if layer.weights else []
        if isinstance(layer, keras.layers.BatchNormalization):  # ours also has a scale or a centre that is not trained
            weights = [getattr(layers_of[layer.name], weight.name) for weight in layer.weights]
        for weight, target in zip(layer.weights, weights, strict=True):
            target.assign(weight.numpy())

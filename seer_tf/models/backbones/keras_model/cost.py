"""The cost of a Keras model, found by following its operations for an image of some size; nothing is computed."""

import functools
import math

import keras

from seer_tf.config import BackboneConfig
from seer_tf.errors import InputError
from seer_tf.models.backbone import BlockCost
from seer_tf.models.backbones.keras_model.graph import Call, calls
from seer_tf.models.backbones.keras_model.network import KerasBackbone, build

# The backward pass of these layers needs their output. That of other layers needs the inputs, or nothing.
_KEEP_OUTPUT = (keras.layers.ReLU, keras.layers.MaxPooling2D)
_RELUS = (keras.activations.relu, keras.activations.relu6)
_KEEP_NOTHING = (
    *(keras.layers.Add, keras.layers.ZeroPadding2D, keras.layers.Reshape),
    *(keras.layers.AveragePooling2D, keras.layers.GlobalAveragePooling2D, keras.layers.Concatenate),
)


class KerasCost:
    """The cost of a Keras model. It implements `BackboneCost` by the network itself and by rules of thumb.

    The number of weights and of multiply-adds is exact but for arithmetic without weights. What the backward pass keeps
    is estimated: the input of each layer with weights, and the output of each ReLU.
    """

    def __init__(self, config: BackboneConfig) -> None:
        """Makes the network.

        Args:
            config: Backbone configuration.

        Raises:
            InputError: There is no such network.
        """
        self._network = _network(config.variant, config.stem_stride)

    @property
    def weight_sizes(self) -> list[int]:
        """Number of elements in each trained weight, in the order of the model."""
        return [math.prod(weight.shape) for weight in self._network.trainable_variables]

    @property
    def normalized_widths(self) -> list[int]:
        """Number of channels of each batch normalisation."""
        return [one.output.shape[-1] for one in _calls(self._network, 64) if _normalizes(one)]

    @property
    def feature_width(self) -> int:
        """Number of channels of the last stage."""
        return self._network.output_shape[-1]

    def multiply_adds(self, size_px: int) -> int:
        """Returns the number of multiply-adds in a forward pass with one square image, for layers with kernels."""
        return sum(_multiply_adds(one) for one in _calls(self._network, size_px))

    def stem_elements(self, size_px: int) -> int:
        """Returns the number of elements in the first tensor that the backward pass needs, for one square image."""
        first = _kept(_calls(self._network, size_px))[0]
        return first.input + first.outer

    def blocks(self, size_px: int) -> list[BlockCost]:
        """Returns the other tensors that the backward pass needs for one square image, each as a block."""
        return _kept(_calls(self._network, size_px))[1:]


@functools.lru_cache(maxsize=4)
def _network(variant: str, stem_stride: int) -> KerasBackbone:
    return build(variant, stem_stride=stem_stride, dtype="float32")


@functools.lru_cache(maxsize=32)
def _calls(network: KerasBackbone, size_px: int) -> list[Call]:
    """Returns the operations on a square image.

    Raises:
        InputError: The image is too small.
    """
    try:
        return calls(network, size_px)
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{network.variant} cannot take crops of {size_px} px, set larger ones: {reason}") from None


def _normalizes(one: Call) -> bool:
    return hasattr(one.operation, "moving_variance")


def _multiply_adds(one: Call) -> int:
    weights = getattr(one.operation, "trainable_weights", [])
    elements = sum(math.prod(weight.shape) for weight in weights if len(weight.shape) > 1)
    return elements * math.prod(one.output.shape[1:-1])


def _kept(done: list[Call]) -> list[BlockCost]:
    """Returns each tensor that the backward pass needs, once; those that are normalised count as `outer`."""
    same = {id(one.output): one.inputs[0] for one in done if _passes_on(one)}
    normalized = {id(one.inputs[0]): _elements(one.inputs[0]) for one in done if _normalizes(one)}
    needed = [same.get(id(tensor), tensor) for one in done for tensor in _needed(one)]
    plain = {id(tensor): _elements(tensor) for tensor in needed if tensor is not done[0].inputs[0]}
    kept = [BlockCost(0, 0, (), (), size) for size in normalized.values()]
    return kept + [BlockCost(0, size, (), (), 0) for key, size in plain.items() if key not in normalized]


def _passes_on(one: Call) -> bool:
    """Returns whether the output is the input itself."""
    linear = getattr(one.operation, "activation", None) is keras.activations.linear
    return isinstance(one.operation, keras.layers.Dropout) or (
        linear and isinstance(one.operation, keras.layers.Activation)
    )


def _needed(one: Call) -> list[keras.KerasTensor]:
    """Returns the tensors that the backward pass of an operation needs, except what batch normalisation normalises."""
    operation = one.operation
    if isinstance(operation, _KEEP_OUTPUT) or getattr(operation, "activation", None) in _RELUS:
        return [one.output]
    keeps_nothing = isinstance(operation, _KEEP_NOTHING) or type(operation).__name__ == "Add"
    return [] if keeps_nothing or _normalizes(one) or _passes_on(one) else list(one.inputs)


def _elements(tensor: keras.KerasTensor) -> int:
    return math.prod(tensor.shape[1:])

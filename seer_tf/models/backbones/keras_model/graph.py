"""The operations of a functional Keras model in their order, and the shapes between them for images of some size."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

#: Side of the image on which resolutions are found, a multiple of every stride.
SIZE_PX = 256


@dataclasses.dataclass(frozen=True)
class Call:
    """One operation on symbolic tensors.

    Attributes:
        operation: Layer or other operation.
        inputs: Tensors that it takes.
        output: Tensor that it returns; the first one of several.
    """

    operation: Any
    inputs: Sequence[keras.KerasTensor]
    output: keras.KerasTensor

    @property
    def name(self) -> str:
        """Name of the operation."""
        return self.operation.name


def run_through(model: keras.Model, image: Any, call: Callable[..., Any]) -> Any:
    """Returns the output of a functional model, computed by a function that gets each operation and its arguments.

    Models inside the model are run through, too.

    Args:
        model: Functional or sequential Keras model with one input.
        image: Input of the model.
        call: Function of an operation and of the arguments of its call.
    """

    def inside(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, keras.Sequential):
            return run_through(operation._functional, args[0], call)
        return run_through(operation, args[0], call) if is_functional(operation) else call(operation, *args, **kwargs)

    model = model._functional if isinstance(model, keras.Sequential) else model
    outputs = model._run_through_graph([image], call_fn=inside)
    flat = keras.tree.flatten(outputs)
    return flat[0] if len(flat) == 1 else outputs


def is_functional(model: Any) -> bool:
    """Returns whether something is a functional Keras model, whose operations are known."""
    return isinstance(model, keras.Model) and hasattr(model, "_run_through_graph")


def calls(model: keras.Model, size_px: int) -> list[Call]:
    """Returns the operations of a model on a square image, in order.

    Args:
        model: Functional model.
        size_px: Side of the image in pixels.

    Raises:
        ValueError: The image is too small for the model, the model takes images of one size only, or a layer does not
            know the size of its output.
    """
    found: list[Call] = []

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        output = operation.compute_output_spec(*args, **kwargs)
        flat = keras.tree.flatten((args, kwargs))
        given = [part for part in flat if isinstance(part, keras.KerasTensor)]
        found.append(Call(operation, given, keras.tree.flatten(output)[0]))
        if None in found[-1].output.shape:
            raise ValueError(
                f"the layer {operation.name} does not know the size of its output, {found[-1].output.shape}; give it a "
                "`compute_output_shape` that does"
            )
        return output

    image = keras.KerasTensor((1, size_px, size_px, 3), dtype=model.inputs[0].dtype)
    run_through(model, image, call)
    return found


def pyramid(model: keras.Model) -> dict[str, str]:
    """Returns the name of the operation that ends each resolution: "P2" is a quarter of the image's, and so on.

    It is the last operation with this resolution whose output is all that the later ones take.

    Args:
        model: Functional model whose output is the map of its last stage.
    """
    done = calls(model, SIZE_PX)
    last_use = {id(tensor): number for number, one in enumerate(done) for tensor in one.inputs}
    found, open_until = {}, -1
    for number, one in enumerate(done):
        if open_until <= number and (level := _level(one)):
            found[level] = one.name
        open_until = max(open_until, last_use.get(id(one.output), number))
    height = done[-1].output.shape[1]
    last = f"P{round(math.log2(SIZE_PX / height))}"
    return {**{level: name for level, name in found.items() if level != last}, last: done[-1].name}


def _level(one: Call) -> str:
    """Returns the name of the resolution if it is the image's divided by a power of two, otherwise nothing."""
    shape = one.output.shape
    if isinstance(one.operation, keras.layers.ZeroPadding2D) or len(shape) != 4 or shape[1] >= SIZE_PX:
        return ""
    return f"P{round(math.log2(SIZE_PX / shape[1]))}" if SIZE_PX % shape[1] == 0 else ""


def stem_of(model: keras.Model) -> str:
    """Returns the name of the first convolution with a stride; empty if there is none."""
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    strided = (one for one in _layers(model) if isinstance(one, convolutions) and min(one.strides) > 1)
    return next((layer.name for layer in strided), "")


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    return (one.operation for one in calls(model, SIZE_PX))

"""What a method adds to the cost of its backbone, from the config alone, for the planner."""

from typing import Protocol

#: Bytes of a float32 number.
FLOAT = 4


class MethodCost(Protocol):
    """The cost of a method's heads, its second network and its queue.

    Attributes:
        weight_sizes: Number of elements of each trained weight of the heads, in the order of the model.
        prototype_parameters: Number of these elements that are in prototypes.
        multiply_adds: Multiply-adds of the heads for one crop.
        normalized_widths: Width of each batch normalisation in the passes of the heads over a step.
        trained_crops: Number of crops of each size that the trained network sees.
        num_forwards: Number of the backbone's passes over the crops of a step, each with its own batch statistics.
        sizes_before: Number of crop sizes in a pass before the one with gradients, in a run with micro-batches; 0 if
            the method has no micro-batches.
        followed_crops: Number of crops that a momentum encoder sees, one pass for each; 0 without one.
        followed_parameters: Number of weights in the momentum encoder's head.
        followed_widths: Width of each batch normalisation in the passes of that head.
    """

    weight_sizes: list[int]
    prototype_parameters: int
    multiply_adds: int
    normalized_widths: list[int]
    trained_crops: tuple[int, ...]
    num_forwards: int
    sizes_before: int
    followed_crops: int
    followed_parameters: int
    followed_widths: list[int]

    def head_bytes(self, images: int) -> int:
        """Returns the bytes that the heads and the loss keep for the backward pass of a number of images."""

    def queue_bytes(self, num_devices: int) -> int:
        """Returns the bytes of a queue on each device, and of the tensors that are computed from it."""

    def reductions(self, num_devices: int) -> tuple[int, int]:
        """Returns the number of sums and gathers of codes and embeddings in a step, and their bytes."""

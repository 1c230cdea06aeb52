"""A RegNetY in a file: its variant, and the tensor for each variable. Only names and shapes are read, no values."""

import dataclasses
import itertools
import re
from pathlib import Path

from seer_tf.errors import InputError
from seer_tf.models.backbones.regnet.design import VARIANTS
from seer_tf.models.backbones.regnet.key_layouts import LAYOUTS, KeyLayout, find_layout, without_parts
from seer_tf.models.sharded_checkpoint import read_checkpoint
from seer_tf.models.stored_tensors import StoredTensors

_HEAD = "heads.0."


@dataclasses.dataclass(frozen=True)
class StoredHead:
    """The names of a SwAV head's modules.

    Attributes:
        linears: Names of the linear layers, in order.
        norms: Names of the batch normalisations, one for each linear layer except the last, or none.
        prototypes: Name of the prototypes.
    """

    linears: tuple[str, ...]
    norms: tuple[str, ...]
    prototypes: str


@dataclasses.dataclass(frozen=True)
class StoredNetwork(StoredTensors):
    """A RegNet in a file.

    Attributes:
        layout: Naming scheme of the tensors.
        prefix: Prefix of the trunk's names.
    """

    layout: KeyLayout
    prefix: str

    def name(self, path: str) -> str:
        """Returns the name of the tensor for the `RegNetY` variable with this path."""
        return self.prefix + self.layout.key(path)

    def stages(self) -> tuple[tuple[int, int, int], ...]:
        """Returns width, depth and group width of each stage, from the shapes of the grouped convolutions."""
        stages = itertools.takewhile(bool, (self._grouped_shapes(stage) for stage in itertools.count(1)))
        return tuple((shapes[0][0], len(shapes), shapes[0][1]) for shapes in stages)

    def _grouped_shapes(self, stage: int) -> list[tuple[int, ...]]:
        """Returns the shape (out, in / groups, 3, 3) of the grouped convolution of each block of a stage."""
        shapes = (self.shape(self.name(f"stage{stage}_block{block}/b/kernel")) for block in itertools.count(1))
        return list(itertools.takewhile(lambda shape: len(shape) == 4, shapes))

    def variant(self) -> str:
        """Returns the variant that has these stages.

        Raises:
            InputError: No variant has these stages.
        """
        stages = self.stages()
        for name, design in VARIANTS.items():
            if stages == tuple((stage.width, stage.depth, stage.group_width) for stage in design.stages()):
                return name
        found = ", ".join(map(str, stages)) or "none"
        raise InputError(
            f"{self.path}: its shapes fit no RegNetY (width, depth and group width of its stages: {found}); the known "
            f"variants are {', '.join(VARIANTS)}."
        )

    def head(self) -> StoredHead | None:
        """Returns the SwAV head; None if the file holds none.

        VISSL's `heads/swav_prototypes_head.py` numbers linear layers, batch normalisations and ReLUs in one sequence.
        """
        projection, prototypes = f"{self._root}{_HEAD}projection_head", f"{self._root}{_HEAD}prototypes0"
        ranks = {
            int(match[1]): len(tensor.shape)
            for name, tensor in self.tensors.items()
            if (match := re.fullmatch(rf"{re.escape(projection)}\.(\d+)\.weight", name))
        }
        linears = sorted(number for number, rank in ranks.items() if rank == 2)
        norms = sorted(number for number, rank in ranks.items() if rank == 1)
        in_a_layer = 3 if norms else 2
        is_regular = linears == [in_a_layer * layer for layer in range(len(linears))]
        if norms:
            is_regular = is_regular and norms == [number + 1 for number in linears[:-1]]
        if not linears or not is_regular or len(self.shape(f"{prototypes}.weight")) != 2:
            return None
        return StoredHead(
            tuple(f"{projection}.{number}" for number in linears),
            tuple(f"{projection}.{number}" for number in norms),
            prototypes,
        )

    def classifier(self) -> str | None:
        """Returns the name of the classifier's linear layer; None if the file holds none."""
        name = self._root + self.layout.classifier
        return name if len(self.shape(f"{name}.weight")) == 2 else None

    @property
    def _root(self) -> str:
        """Prefix of the names of both trunk and heads."""
        return self.prefix.removesuffix(self.layout.trunk)


def open_stored_network(path: Path) -> StoredNetwork:
    """Opens a checkpoint and finds the RegNet in it.

    Raises:
        InputError: The file cannot be read, or its names follow no known layout.
    """
    tensors = {without_parts(name): tensor for name, tensor in read_checkpoint(path).items()}
    found = find_layout(tensors)
    if found is None:
        names = ", ".join(itertools.islice(tensors, 3)) or "none"
        *layouts, last = (layout.name for layout in LAYOUTS)
        raise InputError(
            f"{path}: there is no RegNetY in this file (its first tensors: {names}); give a checkpoint with the names "
            f"of {', '.join(layouts)} or {last}."
        )
    return StoredNetwork(path, tensors, *found)

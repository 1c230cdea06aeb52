"""The names that a project gives to the variables of a backbone with a stem and stages of blocks."""

import dataclasses
import re
from collections.abc import Callable, Mapping

from seer_tf.models.stored_tensors import LEAVES

_PATH = re.compile(
    r"(?:stem|stage(?P<stage>\d+)_block(?P<block>\d+))/(?P<layer>.+)[/_]"
    r"(?P<leaf>kernel|bias|gamma|beta|moving_mean|moving_variance)"
)


@dataclasses.dataclass(frozen=True)
class KeyLayout:
    """One way to name the variables.

    Attributes:
        name: Project that uses these names.
        trunk: Prefix of the trunk's names in a file that also has a head.
        stem: Name of each layer of our stem.
        block: Function from the number of the stage and the number of the block in the stage, both counted from one, to
            the name of the block.
        layers: Name, inside the block, of each layer of our block.
        classifier: Name of the linear layer of a classifier, beside the trunk.
    """

    name: str
    trunk: str
    stem: Mapping[str, str]
    block: Callable[[int, int], str]
    layers: Mapping[str, str]
    classifier: str

    def key(self, path: str) -> str:
        """Returns the name, inside the trunk, of the backbone's variable with this path."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise ValueError(f"{path} is no variable of such a backbone")
        leaf = LEAVES[match["leaf"]]
        if match["stage"] is None:
            return f"{self.stem[match['layer']]}.{leaf}"
        return f"{self.block(int(match['stage']), int(match['block']))}.{self.layers[match['layer']]}.{leaf}"

"""Settings from the command line that hold for all benchmarks."""

import dataclasses

EAGER, COMPILED = "PyTorch eager", "PyTorch compiled"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Choices that hold for all benchmarks.

    Attributes:
        quick: Whether sizes are so small that everything takes seconds and the numbers mean nothing. PyTorch is then
            not compiled.
        photos: Directory of photographs; None for scikit-learn's photographs.
        max_images: Largest number of small records that are prepared and read.
    """

    quick: bool = False
    photos: str | None = None
    max_images: int = 1_000_000

    @property
    def torch_kinds(self) -> dict[str, bool]:
        """Returns PyTorch's contestants by their names in the tables, and whether each uses `torch.compile`."""
        return {EAGER: False} if self.quick else {EAGER: False, COMPILED: True}

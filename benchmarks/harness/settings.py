"""What the command line says of what is measured, beside names and rounds."""

import dataclasses

EAGER, COMPILED = "PyTorch eager", "PyTorch compiled"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Choices that hold for all benchmarks.

    Attributes:
        quick: Whether everything is so small that it takes seconds and its numbers mean nothing; PyTorch is not
            compiled then.
        photos: Directory of photographs; None for those of scikit-learn.
        max_images: The largest number of small records that are prepared and read.
    """

    quick: bool = False
    photos: str | None = None
    max_images: int = 1_000_000

    @property
    def torch_kinds(self) -> dict[str, bool]:
        """PyTorch's contestants by the name that they have in the tables: whether `torch.compile` helps them."""
        return {EAGER: False} if self.quick else {EAGER: False, COMPILED: True}

"""The variant of a network in a file is found from names and shapes alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from seer_tf.errors import InputError
from seer_tf.models.backbones.regnet.design import VARIANTS, RegNetDesign
from seer_tf.models.backbones.regnet.key_layouts import VISSL
from seer_tf.models.backbones.regnet.stored_network import StoredHead, StoredNetwork, open_stored_network
from seer_tf.models.checkpoint_files import StoredTensor

_CLASSY_256GF = RegNetDesign(27, 640, 124.47, 2.04, 848)  # ClassyVision's network of this name, which is not SEER's


def _stored(shapes: dict[str, tuple[int, ...]]) -> StoredNetwork:
    """Returns a network in VISSL's layout with tensors of these shapes. The tensors cannot be read."""
    tensors = {name: StoredTensor(shape, lambda: np.empty(0)) for name, shape in shapes.items()}
    return StoredNetwork(Path("file"), tensors, VISSL, "model.trunk.")


def _grouped_shapes(design: RegNetDesign) -> dict[str, tuple[int, ...]]:
    return {
        f"model.trunk._feature_blocks.res{number + 1}.block{number}-{block}.f.b.0.weight": (
            stage.width,
            stage.group_width,
            3,
            3,
        )
        for number, stage in enumerate(design.stages(), start=1)
        for block in range(stage.depth)
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_known_by_its_shapes(variant: str) -> None:
    assert _stored(_grouped_shapes(VARIANTS[variant])).variant() == variant


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        (_grouped_shapes(_CLASSY_256GF), r"\(640, 3, 640\), \(1696, 7, 848\)"),
        (dict(list(_grouped_shapes(VARIANTS["400MF"]).items())[:-1]), r"\(208, 6, 8\), \(440, 5, 8\)"),
        ({}, "of its stages: none"),
        ({"model.trunk._feature_blocks.res2.block1-0.f.b.0.weight": (48,)}, "of its stages: none"),
    ],
)
def test_shapes_that_fit_no_variant_are_named(shapes: dict[str, tuple[int, ...]], found: str) -> None:
    with pytest.raises(
        InputError, match=f"file: its shapes fit no RegNetY .*{found}.*the known variants are 90MF, 190MF, 200MF"
    ):
        _stored(shapes).variant()


def _projection(*shapes: tuple[int, ...], prototypes: bool = True) -> dict[str, tuple[int, ...]]:
    """Returns the modules of a projection by their position in the sequence. () means a module without weights."""
    named = {f"model.heads.0.projection_head.{place}.weight": shape for place, shape in enumerate(shapes) if shape}
    return named | ({"model.heads.0.prototypes0.weight": (50, 8)} if prototypes else {})


def test_heads_with_and_without_batch_normalisation() -> None:
    plain = _stored(_projection((16, 24), (), (12, 16), (), (8, 12))).head()
    assert plain is not None and plain.norms == ()
    normed = _stored(_projection((16, 24), (16,), (), (12, 16), (12,), (), (8, 12))).head()
    assert normed is not None
    at = "model.heads.0.projection_head."
    assert plain == StoredHead((f"{at}0", f"{at}2", f"{at}4"), (), "model.heads.0.prototypes0")
    assert (normed.linears, normed.norms) == ((f"{at}0", f"{at}3", f"{at}6"), (f"{at}1", f"{at}4"))


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        _projection((16, 24), (), (8, 16), prototypes=False),
        _projection((16, 24), (16,), (), (8, 16), (8,)),  # the last layer is normalised too
        _projection((16, 24), (16,)),  # the first layers of a head, which some classifiers have
        _projection((16, 24), (), (), (8, 16)),
    ],
)
def test_other_heads_are_not_read_as_swav_heads(shapes: dict[str, tuple[int, ...]]) -> None:
    assert _stored(shapes).head() is None


def test_a_classifier_is_a_matrix() -> None:
    assert _stored({"model.heads.0.clf.0.weight": (10, 16)}).classifier() == "model.heads.0.clf.0"
    assert _stored({"model.heads.0.clf.0.weight": (16,)}).classifier() is None
    assert _stored({}).classifier() is None


def test_the_parts_of_a_sharded_network_are_removed_from_names(tmp_path: Path) -> None:
    block = "trunk._feature_blocks.res2.block1-part0.block1-0.f.b.0.weight"
    torch.save(
        {"trunk._feature_blocks.conv1.stem.0.weight": torch.ones(1), block: torch.ones(24, 8, 3, 3)}, tmp_path / "f"
    )
    network = open_stored_network(tmp_path / "f")
    assert (network.layout, network.prefix, network.stages()) == (VISSL, "trunk.", ((24, 1, 8),))


@pytest.mark.parametrize("names", [("conv1.weight", "bn1.weight"), ()])
def test_another_architecture_is_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    torch.save({name: torch.ones(2) for name in names}, tmp_path / "resnet.pth")
    first = ", ".join(names) or "none"
    with pytest.raises(InputError, match=rf"resnet.pth: there is no RegNetY in .*{first}\); give a checkpoint"):
        open_stored_network(tmp_path / "resnet.pth")

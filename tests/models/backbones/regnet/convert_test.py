"""Converted networks equal PyTorch's networks with the same weights: transformers' RegNet and the released code."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from seer_tf import models
from seer_tf.errors import InputError
from seer_tf.models.backbones.regnet import convert as converting
from seer_tf.models.backbones.regnet.convert import backbone_filling, convert
from seer_tf.models.backbones.regnet.design import RegNetDesign, design
from seer_tf.models.backbones.regnet.key_layouts import HUGGING_FACE, TIMM, TORCHVISION
from seer_tf.models.backbones.regnet.stored_network import StoredNetwork, open_stored_network
from seer_tf.models.key_layout import KeyLayout
from seer_tf.models.stored_tensors import fill
from tests.places import GOLDEN
from tests.references import released_checkpoints

_TOLERANCE = 1e-4
_WIDTH = 440  # the last stage of a RegNetY-400MF
_IMAGES = np.random.default_rng(3).normal(size=(2, 64, 48, 3)).astype(np.float32)


Filled = tuple[StoredNetwork, models.RegNetY]


def _relative_error(ours: object, theirs: np.ndarray) -> float:
    found = np.asarray(ours)
    assert found.shape == theirs.shape
    return float(np.abs(found - theirs).max() / np.abs(theirs).max())


def _error(backbone: models.RegNetY, network: transformers.RegNetModel) -> float:
    return _relative_error(backbone(_IMAGES), released_checkpoints.output(network, _IMAGES))


@pytest.fixture(scope="module")
def network() -> transformers.RegNetModel:
    return released_checkpoints.random_network(design("400MF"))


@pytest.fixture(scope="module")
def small_network() -> transformers.RegNetModel:
    return released_checkpoints.random_network(design("90MF"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


def _write(path: Path, network: transformers.RegNetModel, classifier: torch.nn.Linear) -> Path:
    """Writes the weights in the layout and the format that the file name states."""
    state = network.state_dict()
    layout, head, form = path.name.split(".")
    named = classifier.state_dict() if head == "classifier" else {}
    content: dict
    if layout == "vissl":
        content = released_checkpoints.vissl(state, {f"0.clf.0.{name}": tensor for name, tensor in named.items()})
    elif layout == "hugging_face":
        content = released_checkpoints.with_classifier(state) if named else dict(state)
        content |= {f"classifier.1.{name}": tensor for name, tensor in named.items()}
    elif layout == "timm":
        content = {**released_checkpoints.timm(state), **{f"head.fc.{name}": t for name, t in named.items()}}
    else:
        content = {**released_checkpoints.torchvision(state), **{f"fc.{name}": t for name, t in named.items()}}
    if form == "safetensors":
        safetensors.torch.save_file(content, path)
    else:
        torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "file", ["vissl.classifier.torch", "hugging_face.alone.safetensors", "timm.classifier.safetensors"]
)
def test_converted_networks_equal_pytorchs(folder: Path, network: transformers.RegNetModel, file: str) -> None:
    _check(folder / file, network, "400MF")


@pytest.mark.parametrize(
    ("file", "licence"),
    [
        ("vissl.alone.torch", "SEER License Agreement"),
        ("hugging_face.alone.safetensors", ""),
        ("timm.alone.safetensors", ""),
        ("torchvision.alone.pth", ""),
    ],
)
def test_only_what_may_be_seers_has_its_licence(
    folder: Path, small_network: transformers.RegNetModel, file: str, licence: str
) -> None:
    """No RegNetY-90MF was released, but VISSL's names say that a network of SEER's program is in the file."""
    converted = convert(_write(folder / file, small_network, torch.nn.Linear(1, 1)))
    assert converted.licence == converted.backbone.licence == licence
    assert converted.metadata()["licence"] == (licence or None)


@pytest.mark.parametrize(
    ("layout", "variant", "licence"),
    [
        (TIMM, "32GF", "SEER License Agreement"),
        (HUGGING_FACE, "256GF", "SEER License Agreement"),
        (TIMM, "16GF", ""),
        (TORCHVISION, "32GF", ""),
    ],
)
def test_released_variants_have_seers_licence_but_for_torchvisions_names(
    layout: KeyLayout, variant: str, licence: str
) -> None:
    assert converting._licence(StoredNetwork(Path(), {}, layout, ""), variant) == licence


@pytest.mark.parametrize("file", ["hugging_face.classifier.bin", "timm.alone.pth", "torchvision.classifier.pth"])
def test_other_formats_give_the_same_network(folder: Path, small_network: transformers.RegNetModel, file: str) -> None:
    _check(folder / file, small_network, "90MF")


def _check(path: Path, network: transformers.RegNetModel, variant: str) -> None:
    classifier = torch.nn.Linear(network.config.hidden_sizes[-1], 7)
    converted = convert(_write(path, network, classifier))
    assert converted.variant == variant and converted.source == path.name
    assert _error(converted.backbone, network) < _TOLERANCE
    num_variables = len(converted.backbone.variables)
    if "classifier" in path.name:
        assert converted.classifier is not None
        features = np.random.default_rng(4).normal(size=(3, classifier.in_features)).astype(np.float32)
        expected = classifier(torch.from_numpy(features)).detach().numpy()
        assert _relative_error(converted.classifier(features), expected) < _TOLERANCE
        num_variables += 2
    else:
        assert converted.classifier is None
    assert len(converted.matched) == len(set(converted.matched)) == num_variables
    assert converted.swav_head is None


def _vissl_file(folder: Path, network: transformers.RegNetModel, *, batch_norm: bool) -> tuple[Path, torch.nn.Module]:
    """Writes a pretrained checkpoint with a head. Returns the file and the head's projection."""
    width = network.config.hidden_sizes[-1]
    projection = released_checkpoints.random_projection(width, (48, 40), batch_norm=batch_norm)
    heads = released_checkpoints.swav_head(projection, released_checkpoints.random_prototypes())
    path = folder / f"{width}_{batch_norm}.torch"
    torch.save(released_checkpoints.vissl(network.state_dict(), heads), path)
    return path, projection


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_head_equals_pytorchs_and_every_tensor_is_accounted_for(
    folder: Path, network: transformers.RegNetModel, batch_norm: bool
) -> None:
    path, projection = _vissl_file(folder, network, batch_norm=batch_norm)
    converted = convert(path)
    features = np.random.default_rng(5).normal(size=(6, _WIDTH)).astype(np.float32)
    with torch.no_grad():
        embeddings = torch.nn.functional.normalize(projection(torch.from_numpy(features)))
        scores = embeddings @ released_checkpoints.random_prototypes().T
    assert converted.swav_head is not None
    found = converted.swav_head(features)
    assert _relative_error(found["embeddings"], embeddings.numpy()) < _TOLERANCE
    assert _relative_error(found["scores"], scores.numpy()) < _TOLERANCE
    counters = [name for name in converted.unused if name.endswith(".num_batches_tracked")]
    others = set(converted.unused) - set(counters)
    assert others == {"classy_state_dict.optimizer.optim.state.0.momentum_buffer"}
    assert len(counters) == len(released_checkpoints.norms(network)) + 2 * batch_norm
    assert set(converted.matched) | set(converted.unused) == set(open_stored_network(path).tensors)


def test_a_network_in_parts_like_the_10b_one_equals_pytorchs(folder: Path, network: transformers.RegNetModel) -> None:
    """The third stage has two parts.

    The test fails if a part is read as a block, or if each part counts its own blocks.
    """
    path, _ = _vissl_file(folder, network, batch_norm=False)
    content = torch.load(path, weights_only=False)
    model = content["classy_state_dict"]["base_model"]["model"]
    model["trunk"] = {_in_parts(name): tensor for name, tensor in model["trunk"].items()}
    assert "_feature_blocks.res4.block3-part1.block3-5.f.c.weight" in model["trunk"]
    torch.save(content, folder / "in_parts.torch")
    converted = convert(folder / "in_parts.torch")
    assert converted.variant == "400MF" and converted.swav_head is not None
    assert _error(converted.backbone, network) < _TOLERANCE


def _in_parts(name: str) -> str:
    """Adds the part of a stage to each block's name, as VISSL's `regnet_fsdp` does: [[1], [3], [3, 6], [6]] here."""
    found = re.match(r"(_feature_blocks\.res\d)\.block(\d)-(\d+)\.(.*)", name)
    if found is None:
        return name
    stage, part = found[2], int(found[2] == "3" and int(found[3]) >= 3)
    return f"{found[1]}.block{stage}-part{part}.block{stage}-{found[3]}.{found[4]}"


@pytest.fixture(scope="module")
def filled(folder: Path, network: transformers.RegNetModel) -> Iterator[Filled]:
    """A file and a backbone with its weights. The fixture checks that no test has changed the backbone."""
    path, _ = _vissl_file(folder, network, batch_norm=False)
    stored, backbone = open_stored_network(path), models.backbone("400MF")
    fill(stored, backbone_filling(stored, backbone))
    yield stored, backbone
    assert _error(backbone, network) < _TOLERANCE


_TRUNK = "classy_state_dict.base_model.model.trunk._feature_blocks."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv1.stem.1.running_mean", "conv1.stem.1.bias"),
        ("res2.block1-0.bn.running_var", "res2.block1-0.f.final_bn.running_var"),
        ("res3.block2-1.f.a.0.weight", "res3.block2-1.f.c.weight"),
        ("res4.block3-2.f.se.excitation.0.bias", "res4.block3-3.f.se.excitation.0.bias"),
        ("res4.block3-4.f.se.excitation.2.bias", "res4.block3-5.f.se.excitation.2.bias"),
        ("res5.block4-0.proj.weight", "res5.block4-0.f.a.0.weight"),
        ("res5.block4-5.f.final_bn.weight", "res5.block4-5.f.final_bn.bias"),
    ],
)
def test_two_swapped_tensors_of_one_shape_are_found(
    filled: Filled, network: transformers.RegNetModel, one: str, other: str
) -> None:
    stored, backbone = filled
    exchange = {_TRUNK + one: _TRUNK + other, _TRUNK + other: _TRUNK + one}
    right = [(variable, name) for variable, name in backbone_filling(stored, backbone) if name in exchange]
    fill(stored, [(variable, exchange[name]) for variable, name in right])
    assert _error(backbone, network) > 10 * _TOLERANCE
    fill(stored, right)


def test_a_file_of_the_released_code_gives_the_numbers_of_the_released_code() -> None:
    stored = open_stored_network(GOLDEN / "tiny_regnety_vissl.torch")
    golden = np.load(GOLDEN / "tiny_regnety.npz")
    tiny = RegNetDesign(*(golden[name].item() for name in ("depth", "w_0", "w_a", "w_m", "group_width")))
    assert stored.stages() == tuple((stage.width, stage.depth, stage.group_width) for stage in tiny.stages())
    backbone = models.RegNetY(design=tiny)
    head, head_filling = converting.swav_head(stored, backbone.output_shape[-1])
    assert head is not None
    fill(stored, backbone_filling(stored, backbone) + head_filling)
    pooled = models.pooled(backbone)(golden["image"])
    assert _relative_error(pooled, golden["pooled"]) < 1e-5
    assert _relative_error(head(pooled)["embeddings"], golden["embedding"]) < 1e-5
    assert _relative_error(head(pooled)["scores"], golden["prototype_scores"]) < 1e-5


def test_saved_models_load_with_weights_and_metadata(
    folder: Path, small_network: transformers.RegNetModel, tmp_path: Path
) -> None:
    path, _ = _vissl_file(folder, small_network, batch_norm=True)
    converted = convert(path)
    converted.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "SEER_LICENCE.txt",
        "metadata.json",
        "model.keras",
        "swav_head.keras",
    ]
    backbone = models.load_backbone(tmp_path / "model.keras")
    np.testing.assert_array_equal(backbone(_IMAGES), converted.backbone(_IMAGES))
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert archive.testzip() is None
    head = keras.saving.load_model(tmp_path / "swav_head.keras")
    features = models.pooled(backbone)(_IMAGES)
    assert converted.swav_head is not None
    np.testing.assert_array_equal(head(features)["scores"], converted.swav_head(features)["scores"])
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert metadata["variant"] == "90MF" and metadata["licence"] == "SEER License Agreement"
    assert metadata["attribution"] in (tmp_path / "SEER_LICENCE.txt").read_text()
    assert (metadata["matched"], metadata["unused"]) == (list(converted.matched), list(converted.unused))


def test_a_backbone_loads_by_name_and_bad_files_are_refused(tmp_path: Path) -> None:
    assert models.backbone("90MF").variant == "90MF"
    with pytest.raises(InputError, match="there is no backbone '91MF'"):
        models.backbone("91MF")
    with pytest.raises(InputError, match="there is no file .*nowhere.keras"):
        models.load_backbone(tmp_path / "nowhere.keras")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "dense.keras")
    with pytest.raises(InputError, match=r"dense.keras: this is no backbone; give the model\.keras"):
        models.load_backbone(tmp_path / "dense.keras")


@pytest.fixture(scope="module")
def small(small_network: transformers.RegNetModel) -> dict:
    """A checkpoint of a small network, before it is written."""
    return released_checkpoints.vissl(small_network.state_dict())


@pytest.mark.parametrize("name", ["res3.block2-0.f.se.excitation.2.bias", "conv1.stem.1.running_var"])
def test_a_missing_tensor_and_one_of_another_shape_are_named(small: dict, tmp_path: Path, name: str) -> None:
    trunk = small["classy_state_dict"]["base_model"]["model"]["trunk"]
    tensor = trunk.pop(f"_feature_blocks.{name}")
    torch.save(small, tmp_path / "file")
    with pytest.raises(InputError, match=rf"1 of \d+ tensors that the network needs are missing: {_TRUNK}{name}"):
        convert(tmp_path / "file")
    trunk[f"_feature_blocks.{name}"] = torch.cat([tensor, tensor])
    torch.save(small, tmp_path / "file")
    with pytest.raises(
        InputError, match=rf"another shape than in the network: {_TRUNK}{name} is \({2 * len(tensor)},\)"
    ):
        convert(tmp_path / "file")
    trunk[f"_feature_blocks.{name}"] = tensor


def test_a_network_without_squeeze_and_excitation_is_refused(small: dict, tmp_path: Path) -> None:
    """The checkpoint is a RegNetX of the same widths."""
    trunk = small["classy_state_dict"]["base_model"]["model"]["trunk"]
    torch.save({name: tensor for name, tensor in trunk.items() if ".se." not in name}, tmp_path / "file")
    with pytest.raises(InputError, match=r"16 of \d+ .* are missing: .*\.se\..* and 8 more; give a complete "):
        convert(tmp_path / "file")


@pytest.mark.slow
def test_the_32gf_network_equals_pytorchs(tmp_path: Path) -> None:
    network = released_checkpoints.random_network(design("32GF"))
    expected = released_checkpoints.output(network, _IMAGES)
    for file in ("vissl.classifier.torch", "hugging_face.alone.safetensors", "timm.alone.safetensors"):
        converted = convert(_write(tmp_path / file, network, torch.nn.Linear(3712, 7)))
        assert converted.variant == "32GF"
        assert _relative_error(converted.backbone(_IMAGES), expected) < _TOLERANCE

"""A checkpoint in several files equals the checkpoint in one file. Errors name the damaged part."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from seer_tf.errors import InputError
from seer_tf.models.backbones.regnet.convert import convert
from seer_tf.models.backbones.regnet.design import design
from seer_tf.models.sharded_checkpoint import read_checkpoint
from tests.references import released_checkpoints

_TENSORS = {f"layer{number}.weight": torch.full((2, number + 1), float(number)) for number in range(5)}


def _write(directory: Path, suffix: str, tensors: dict[str, torch.Tensor] = _TENSORS, num_parts: int = 2) -> Path:
    """Writes tensors into several parts with an index. Returns the index."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for part in range(num_parts):
        file_name = f"{stem}-{part + 1:05d}-of-{num_parts:05d}.{suffix}"
        content = {name: tensors[name] for name in names[part::num_parts]}
        (safetensors.torch.save_file if suffix == "safetensors" else torch.save)(content, directory / file_name)
        weight_map |= dict.fromkeys(content, file_name)
    index = directory / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("given", ["index", "directory"])
def test_tensors_come_from_all_parts(tmp_path: Path, suffix: str, given: str) -> None:
    index = _write(tmp_path, suffix)
    tensors = read_checkpoint(index if given == "index" else tmp_path)
    assert set(tensors) == set(_TENSORS)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor.read(), _TENSORS[name])


def test_a_directory_with_one_file_gives_the_tensors_of_the_file(tmp_path: Path) -> None:
    safetensors.torch.save_file(_TENSORS, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert set(read_checkpoint(tmp_path)) == set(_TENSORS)


@pytest.mark.parametrize("layout", ["Hugging Face", "VISSL", "timm"])
def test_a_network_in_parts_equals_the_network_in_one_file(tmp_path: Path, layout: str) -> None:
    state = dict(released_checkpoints.random_network(design("90MF")).state_dict())
    if layout == "VISSL":
        state = released_checkpoints.vissl(state)["classy_state_dict"]["base_model"]["model"]["trunk"]
    elif layout == "timm":
        state = released_checkpoints.timm(state)
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    (tmp_path / "parts").mkdir()
    safetensors.torch.save_file(state, tmp_path / "whole.safetensors")
    parted = convert(_write(tmp_path / "parts", "safetensors", state, 3))
    whole = convert(tmp_path / "whole.safetensors")
    assert (parted.layout, parted.matched) == (layout, whole.matched)
    for one, other in zip(parted.backbone.variables, whole.backbone.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_single_part_is_refused_and_the_index_is_named(tmp_path: Path) -> None:
    _write(tmp_path, "safetensors")
    with pytest.raises(InputError, match=r"this is part 1 of 2 .* give .*/model\.safetensors\.index\.json, or the dir"):
        read_checkpoint(tmp_path / "model-00001-of-00002.safetensors")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda parts, index: parts[1].unlink(), "its part model-00002-of-00002.safetensors is missing; fetch it"),
        (lambda parts, index: shutil.copy(parts[0], parts[1]), "has no tensor layer1.weight, although the index"),
        (lambda parts, index: parts[0].write_bytes(parts[0].read_bytes()[:20]), "00001-of-00002.* truncated, broken"),
        (lambda parts, index: index.write_text("{"), "this is no index of a checkpoint"),
        (lambda parts, index: index.write_text("[]"), "this is no index of a checkpoint"),
        (lambda parts, index: index.write_text('{"weight_map": {}}'), "this is no index of a checkpoint"),
        (lambda parts, index: index.write_text('{"weight_map": {"a": "../b"}}'), "a file in the same directory"),
        (lambda parts, index: index.write_text(f'{{"weight_map": {{"a": "{"b" * 300}"}}}}'), "its part b+ is missing"),
        (lambda parts, index: index.write_text('{"weight_map": {"a": 3}}'), "this is no index of a checkpoint"),
        (lambda parts, index: index.write_bytes(b"\xff\xfe"), "this is no index of a checkpoint"),
    ],
    ids=[
        "missing",
        "other part",
        "truncated",
        "cut index",
        "list",
        "empty",
        "elsewhere",
        "long name",
        "number",
        "no text",
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[list[Path], Path], object], sentence: str) -> None:
    index = _write(tmp_path, "safetensors")
    damage(sorted(tmp_path.glob("*.safetensors")), index)
    with pytest.raises(InputError, match=sentence):
        read_checkpoint(index)


def test_a_directory_without_one_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this directory has none; give the file"):
        read_checkpoint(tmp_path)
    for name in ("one.pth", "two.bin"):
        torch.save(_TENSORS, tmp_path / name)
    with pytest.raises(InputError, match=r"this directory has one\.pth, two\.bin; give the file"):
        read_checkpoint(tmp_path)


def test_a_classifier_that_transformers_saves_in_parts_gives_its_logits(tmp_path: Path) -> None:
    """The transformers package itself writes the parts and the index, in float32."""
    trunk = released_checkpoints.random_network(design("90MF"))
    trunk.config.num_labels = 7
    network = transformers.RegNetForImageClassification(trunk.config).eval()
    network.regnet.load_state_dict(trunk.state_dict())
    network.save_pretrained(tmp_path, max_shard_size="300KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    converted = convert(tmp_path)
    images = np.random.default_rng(3).normal(size=(2, 64, 48, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).logits.numpy()
    assert converted.classifier is not None
    logits = converted.classifier(np.asarray(converted.backbone(images)).mean(axis=(1, 2)))
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    assert not converted.unused or all("num_batches" in name for name in converted.unused)

"""Weight files of every kind, and files that are not weight files."""

import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from seer_tf.errors import InputError
from seer_tf.models.checkpoint_files import read_tensors

_TENSORS = {"first": torch.arange(6.0).reshape(2, 3), "second": torch.tensor([7.0, 8.0])}


class _RunsCode:
    """An object whose pickle runs a command when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


def _write(path: Path, kind: str, content: dict) -> Path:
    """Writes a weight file of the given kind."""
    if kind == "safetensors":
        safetensors.torch.save_file(content, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_tensors_are_read_by_name(tmp_path: Path, kind: str) -> None:
    tensors = read_tensors(_write(tmp_path / "any name", kind, _TENSORS))
    assert {name: tensor.shape for name, tensor in tensors.items()} == {"first": (2, 3), "second": (2,)}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor.read(), _TENSORS[name])


@pytest.mark.parametrize("kind", ["safetensors", "zip"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_float32(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    path = _write(tmp_path / "half", kind, {name: tensor.to(dtype) for name, tensor in _TENSORS.items()})
    values = read_tensors(path)["first"].read()
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, _TENSORS["first"])


def test_nested_names_and_numpy_scalars_beside_the_weights(tmp_path: Path) -> None:
    beside = {"loss": np.float64(6.5), "step": np.int64(7), "done": np.bool_(True), "meters": [1.5, None, "text"]}
    content = {"model": {"trunk": _TENSORS}, "optimizer": {"state": {0: [torch.ones(4)]}}, **beside}
    tensors = read_tensors(_write(tmp_path / "nested", "zip", content))
    assert set(tensors) == {"model.trunk.first", "model.trunk.second", "optimizer.state.0.0"}


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_a_pickle_that_wants_to_run_code_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    marker = tmp_path / "was run"
    path = _write(tmp_path / "evil", kind, {**_TENSORS, "more": _RunsCode(marker)})
    with pytest.raises(InputError, match=r"evil: refused, because its pickle asks for posix\.system.*, which"):
        read_tensors(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("value", "name"), [(np.ones(3), "numpy._core.multiarray._reconstruct"), (torch.nn.Linear(2, 2), "Linear")]
)
def test_any_other_global_is_refused_by_name(tmp_path: Path, value: object, name: str) -> None:
    with pytest.raises(InputError, match=f"asks for .*{name}"):
        read_tensors(_write(tmp_path / "other", "zip", {**_TENSORS, "other": value}))


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy", "pickle"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path: Path, kind: str, part: float) -> None:
    content = _TENSORS if kind != "pickle" else {"numbers": list(range(500))}
    path = _write(tmp_path / "short", kind, content)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(10, int(part * len(whole)))])
    with pytest.raises(InputError, match="short: the file is truncated, broken or no checkpoint"):
        read_tensors(path)


def test_a_damaged_file_gets_one_sentence(tmp_path: Path) -> None:
    """Random bytes change, in the pickle and in the archive around the pickle."""
    generator = np.random.default_rng(0)
    for kind in ("safetensors", "zip", "legacy"):
        whole = np.frombuffer(_write(tmp_path / kind, kind, _TENSORS).read_bytes(), np.uint8)
        for _ in range(150):
            damaged = whole.copy()
            damaged[generator.integers(0, len(whole), 3)] = generator.integers(0, 256, 3)
            (tmp_path / kind).write_bytes(damaged.tobytes())
            try:
                read_tensors(tmp_path / kind)
            except InputError as error:
                assert "\n" not in str(error)


def test_foreign_files_are_named(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    for content in (b"", b"<html>not found</html>", b"\xff\xd8\xff\xe0 JPEG"):
        foreign.write_bytes(content)
        with pytest.raises(InputError, match="foreign: this is neither a safetensors nor a PyTorch file"):
            read_tensors(foreign)
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("a/text.txt", "hello")
    with pytest.raises(InputError, match="foreign: the file is truncated, broken or no checkpoint"):
        read_tensors(foreign)


@pytest.mark.parametrize(("name", "reason"), [("nowhere", "No such file"), (".", "Is a directory")])
def test_a_path_without_a_file_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"{reason}.*; give a checkpoint file"):
        read_tensors(tmp_path / name)


def test_without_torch_safetensors_are_read_and_other_files_name_the_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe, zipped = (_write(tmp_path / kind, kind, _TENSORS) for kind in ("safetensors", "zip"))
    monkeypatch.setitem(sys.modules, "torch", None)  # the import now fails
    assert set(read_tensors(safe)) == set(_TENSORS)
    with pytest.raises(InputError, match=r"reading this file needs PyTorch; pip install 'seer_tf\[torch\]'"):
        read_tensors(zipped)

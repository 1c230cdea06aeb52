"""GPUs that TensorFlow misses are named, and every door of the program refuses a GPU that is too new for TensorFlow."""

import pathlib
import sys
import types

import pytest
import tensorflow as tf

import seer_tf
from seer_tf.cli import entry
from seer_tf.distributed import gpus as module
from seer_tf.errors import InputError

_FUNCTIONS = [name for name in seer_tf.__all__ if name not in ("InputError", "__version__")]


@pytest.fixture
def blackwell(monkeypatch: pytest.MonkeyPatch) -> dict:
    """A GPU too new for TensorFlow, and its details, which a test may change."""
    details = {"device_name": "NVIDIA GeForce RTX 5090", "compute_capability": (12, 0)}
    built = {"cuda_compute_capabilities": ["sm_60", "sm_89", "compute_90"]}
    monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: built)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return details


def test_a_gpu_that_is_newer_than_tensorflow_is_refused(blackwell: dict) -> None:
    with pytest.raises(InputError, match=r"RTX 5090 has compute capability 12\.0, and TensorFlow .* up to 9\.0; hide"):
        module.check_capabilities()
    for capability in ((8, 9), (9, 0)):
        blackwell["compute_capability"] = capability
        module.check_capabilities()


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_every_function_refuses_it_before_anything_is_computed(
    name: str, blackwell: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(seer_tf.InputError, match=r"RTX 5090 has compute capability 12\.0"):
        getattr(seer_tf, name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert callable(getattr(seer_tf, name))


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_every_command_refuses_it_unless_the_command_sees_no_gpu(
    name: str, blackwell: dict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    begun = []

    def main() -> None:
        begun.append(name)

    main.__module__ = "toy"
    toy = types.ModuleType("toy")
    vars(toy)["main"] = main
    monkeypatch.setitem(sys.modules, "toy", toy)
    monkeypatch.setattr(entry.importlib, "import_module", lambda _: toy)
    monkeypatch.setattr(sys, "argv", [name])
    monkeypatch.setattr(entry.command, "_set_up_logs", lambda: None)
    if name in entry.WITHOUT_GPU:
        entry.start(name)
        assert begun == [name]
        return
    with pytest.raises(SystemExit, match="2"):
        entry.start(name)
    assert begun == [] and "RTX 5090 has compute capability 12.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("device", "gpus", "visible", "num_warnings"),
    [("", [], None, 0), ("nvidia0", [], None, 1), ("nvidia0", ["GPU:0"], None, 0), ("nvidia0", [], "", 0)],
    ids=["none", "missed", "found", "hidden"],
)
def test_a_gpu_that_tensorflow_does_not_see_is_named_once(
    device: str,
    gpus: list[str],
    visible: str | None,
    num_warnings: int,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if device:
        (tmp_path / device).touch()
    monkeypatch.setattr(module, "_NVIDIA_DEVICES", (str(tmp_path / "nvidia*"),))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    module._warn_of_missing_gpu.cache_clear()
    assert [module.num_gpus() for _ in range(2)] == [len(gpus)] * 2
    assert len([text for text in caplog.messages if "pip install 'seer_tf[gpu]'" in text]) == num_warnings

"""Whether a process may use a GPU, and what follows for TensorFlow's settings; the driver is a file here."""

import pathlib

import pytest

from seer_tf import gpu


@pytest.mark.parametrize(
    ("driver", "visible", "expected"),
    [(False, None, False), (True, None, True), (True, "0,1", True), (True, "", False), (True, "-1", False)],
)
def test_a_gpu_may_be_used_where_its_driver_is_and_nobody_hides_it(
    driver: bool, visible: str | None, expected: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if driver:
        (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(gpu, "_DRIVER", str(tmp_path / "nvidiactl"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu.may_be_used() == expected
    assert gpu.one_dnn() == ("0" if expected else "1")  # TensorFlow fuses less beside oneDNN, on GPUs too

"""The check of devices, on parts of a CPU, and what it says of broken ones."""

import contextlib
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from seer_tf.distributed import device_check
from tests.places import ROOT
from tests.replicas import two_replicas


def test_each_check_of_a_host_without_gpus_is_a_line() -> None:
    command = [sys.executable, "-m", "seer_tf.cli", "check-devices", "--num_devices=2"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    names = [line.partition(": ")[0] for line in done.stdout.splitlines()]
    convolutions = [
        f"grouped convolution in {dtype} on CPU:{index}"
        for index in range(2)
        for dtype in ("float32", "float16", "bfloat16")
    ]
    assert names == ["TensorFlow", "devices", *convolutions, "sum over 2 devices"]
    assert done.stdout.splitlines()[-1] == "sum over 2 devices: right"


def test_a_wrong_convolution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    convolve = tf.nn.conv2d

    def wrong(x: tf.Tensor, kernel: tf.Tensor, **kwargs: object) -> tf.Tensor:
        return convolve(x, kernel, **kwargs) * (1.0 if x.dtype == tf.float64 else 1.1)

    assert device_check._convolution("CPU:0", "float32")[1] == ""
    monkeypatch.setattr(tf.nn, "conv2d", wrong)
    found, remedy = device_check._convolution("CPU:0", "float32")
    assert found.startswith("differs from float64 by ") and remedy.startswith("choose another `run.precision`")


def test_an_operation_that_fails_is_a_line_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> tf.Tensor:
        raise tf.errors.UnimplementedError(None, None, "no algorithm worked!\nand more")

    monkeypatch.setattr(tf.nn, "conv2d", failing)
    monkeypatch.setattr(tf, "device", lambda name: contextlib.nullcontext())
    found, remedy = device_check._convolution("GPU:0", "float16")
    assert found == "fails: no algorithm worked!" and remedy == device_check._INSTALL


@pytest.mark.multi_replica
def test_a_wrong_sum_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = two_replicas()
    assert device_check._sum(strategy) == ("right", "")
    monkeypatch.setattr(device_check.collectives, "all_reduce", lambda x: x)
    assert device_check._sum(strategy) == ("wrong", device_check._NCCL)


def test_libraries_of_another_cuda_in_the_environment_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Package:
        def __init__(self, name: str) -> None:
            self.metadata, self.version = {"Name": name}, "2.0"

    packages = [Package("nvidia-nccl-cu12"), Package("numpy")]
    monkeypatch.setattr(device_check.importlib.metadata, "distributions", lambda: packages)
    assert device_check._libraries() == ("nvidia-nccl-cu12 2.0", "")
    packages.append(Package("nvidia-nccl-cu13"))
    assert device_check._libraries() == ("nvidia-nccl-cu12 2.0, nvidia-nccl-cu13 2.0", device_check._INSTALL)


def test_a_host_whose_gpu_tensorflow_misses_gets_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_check._devices(0, 1) == ("no GPU; 1 part of the CPU", "")
    monkeypatch.setattr(device_check.gpu, "may_be_used", lambda: True)
    found, remedy = device_check._devices(0, 1)
    assert "although this host has one" in found and remedy == device_check._INSTALL

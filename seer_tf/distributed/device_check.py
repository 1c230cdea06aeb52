"""Checks the devices of this host for what training does on them. Each check gives a line, and a remedy if it fails."""

import dataclasses
import functools
import importlib.metadata
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from seer_tf import gpu
from seer_tf.distributed import collectives
from seer_tf.distributed.gpus import newest_capability, num_gpus
from seer_tf.distributed.strategy import make_strategy, place
from seer_tf.quantities import counted

#: Largest error that a precision allows, relative to the largest value. On GPUs float32 means TensorFloat-32.
_TOLERANCES = {"float32": 5e-3, "float16": 1e-2, "bfloat16": 5e-2}
_NUM_GROUPS, _CHANNELS = 4, 16
#: Packages of libraries that TensorFlow opens on a GPU, and those of another CUDA that would take their place.
_LIBRARIES, _FOREIGN = ("nvidia-cudnn-cu12", "nvidia-nccl-cu12"), ("nvidia-cudnn-cu13", "nvidia-nccl-cu13")
_NCCL = "give more shared memory (--shm-size=8g), or look at the output with NCCL_DEBUG=INFO"
_INSTALL = "install seer_tf[gpu] in an environment of its own, or update the driver (docs/guides/gpus.md)"


@dataclasses.dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: What is checked.
        run: Makes the check; returns what it found, and a remedy, empty if all is well.
    """

    name: str
    run: Callable[[], tuple[str, str]]


def checks(num_devices: int | None) -> Iterator[Check]:
    """Yields the checks, in the order in which they must be run.

    Args:
        num_devices: Number of devices to check; None for all GPUs, or for one CPU. Without GPUs, parts of the CPU.

    Raises:
        InputError: There are fewer devices.
    """
    gpus = num_gpus()
    strategy = make_strategy(place("auto", num_devices, None, num_gpus=gpus))
    devices = [device.name for device in tf.config.list_logical_devices("GPU" if gpus else "CPU")]
    yield Check("TensorFlow", _build)
    yield Check("devices", lambda: _devices(gpus, len(devices)))
    if gpus:
        yield Check("libraries", _libraries)
    for device, dtype in itertools.product(devices, _TOLERANCES):
        name = f"grouped convolution in {dtype} on {device.rpartition('device:')[2]}"
        yield Check(name, functools.partial(_convolution, device, dtype))
    if len(devices) > 1:
        yield Check(f"sum over {counted(len(devices), 'device')}", lambda: _sum(strategy))


def _build() -> tuple[str, str]:
    build = tf.sysconfig.get_build_info()
    if not build["is_cuda_build"]:
        return f"{tf.__version__} without CUDA", ""
    cuda = f"CUDA {build['cuda_version']} and cuDNN {build['cudnn_version']}"
    major, minor = newest_capability()
    return f"{tf.__version__} for {cuda}, and for GPUs up to compute capability {major}.{minor}", ""


def _devices(gpus: int, used: int) -> tuple[str, str]:
    if not gpus:
        missed = gpu.may_be_used()
        text = "TensorFlow finds no GPU although this host has one" if missed else "no GPU"
        return f"{text}; {counted(used, 'part')} of the CPU", _INSTALL if missed else ""
    details = [tf.config.experimental.get_device_details(each) for each in tf.config.get_visible_devices("GPU")]
    names = [
        f"{each.get('device_name', 'GPU')} ({'.'.join(map(str, each.get('compute_capability', ('?',))))})"
        for each in details
    ]
    return ", ".join(names), ""


def _libraries() -> tuple[str, str]:
    found, foreign = (
        {each.metadata["Name"]: each.version for each in importlib.metadata.distributions() if _is_in(each, names)}
        for names in (_LIBRARIES, _FOREIGN)
    )
    text = ", ".join(f"{name} {version}" for name, version in {**found, **foreign}.items())
    return text or "those of the system", _INSTALL if found and foreign else ""


def _is_in(package: importlib.metadata.Distribution, names: tuple[str, ...]) -> bool:
    return package.metadata["Name"] in names


def _convolution(device: str, dtype: str) -> tuple[str, str]:
    """Compares a grouped convolution and its gradients with convolutions of single groups in float64.

    On some CPUs the single operation has no gradient. Training then takes one operation for each group, as this check.
    """
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 8, 8, _CHANNELS))
    kernel = random.normal(size=(3, 3, _CHANNELS // _NUM_GROUPS, _CHANNELS))
    how = ""
    with tf.device(device):
        try:
            found = _convolved(x, kernel, dtype, num_parts=1)
        except tf.errors.OpError as error:
            if "GPU" in device:
                return f"fails: {error.message.splitlines()[0]}", _INSTALL
            how, found = "one operation for each group, ", _convolved(x, kernel, dtype, num_parts=_NUM_GROUPS)
    with tf.device("CPU:0"):
        expected = _convolved(x, kernel, "float64", num_parts=_NUM_GROUPS)
    errors = [np.abs(one - other).max() / np.abs(other).max() for one, other in zip(found, expected, strict=True)]
    remedy = "" if max(errors) <= _TOLERANCES[dtype] else f"choose another `run.precision` than {dtype}"
    return f"{how}differs from float64 by {max(errors):.0e}", remedy


def _convolved(x: np.ndarray, kernel: np.ndarray, dtype: str, *, num_parts: int) -> list[np.ndarray]:
    """Returns outputs and gradients by x and kernel, where the outputs are their own upstream gradient."""
    sources = tf.constant(x, dtype), tf.constant(kernel, dtype)
    with tf.GradientTape() as tape:
        tape.watch(sources)
        parts = zip(*(tf.split(each, num_parts, axis=-1) for each in sources), strict=True)
        outputs = tf.concat([tf.nn.conv2d(*part, strides=1, padding="SAME") for part in parts], axis=-1)
    gradients = tape.gradient(outputs, sources, output_gradients=outputs)
    return [tf.cast(each, tf.float64).numpy() for each in (outputs, *gradients)]


def _sum(strategy: tf.distribute.Strategy) -> tuple[str, str]:
    number = strategy.num_replicas_in_sync

    @tf.function
    def total() -> tf.Tensor:
        def of_replica() -> tf.Tensor:
            return collectives.all_reduce(tf.cast(collectives.replica_id() + tf.ones([1024], tf.int32), tf.float32))

        return strategy.run(of_replica)

    try:
        sums = [copy.numpy() for copy in strategy.experimental_local_results(total())]
    except tf.errors.OpError as error:
        return f"fails: {error.message.splitlines()[0]}", _NCCL
    right = all((copy == number * (number + 1) / 2).all() for copy in sums)
    return ("right", "") if right else ("wrong", _NCCL)

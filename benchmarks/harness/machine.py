"""The conditions of a measurement besides the code: the machine, its load, and the versions of packages."""

import importlib.metadata
import os
import platform
import subprocess
import time
from typing import Any

_PACKAGES = ("seer_tf", "tensorflow", "keras", "numpy", "torch", "transformers", "pillow")
_LOOK_SECONDS = 0.5


def machine() -> dict[str, Any]:
    """Returns processor, cores, memory, load and versions, as JSON values.

    `load` is the mean number of threads that wanted a core in the last minute, including our own. `busy_cores` is the
    number of cores that other processes keep busy now, while this process waits. `bfloat16_instructions` says whether
    the processor has instructions that multiply bfloat16.
    """
    flags = _line_of("/proc/cpuinfo", "flags").split()
    return {
        "processor": _line_of("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "bfloat16_instructions": "avx512_bf16" in flags or "amx_bf16" in flags,
        "memory": _line_of("/proc/meminfo", "MemTotal"),
        "load": os.getloadavg()[0],
        "busy_cores": round(_busy_cores(), 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "gpus": _gpus(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _gpus() -> list[str]:
    """Returns name, driver and memory of each GPU, as NVIDIA's tool says them; empty without the tool."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


def _version(package: str) -> str | None:
    """Returns the version of a package; None if it is not installed, as PyTorch beside TensorFlow's CUDA."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def peak_mib() -> float:
    """Returns the peak of this process's resident memory in MiB.

    The peak from `getrusage`, in contrast, includes the peak of the parent process.
    """
    return int(_line_of("/proc/self/status", "VmHWM").split()[0]) / 1024


def _busy_cores() -> float:
    """Returns the number of cores that are busy while this process waits; 0 if /proc does not exist."""
    before = _cpu_seconds()
    time.sleep(_LOOK_SECONDS)
    return max(0.0, (_cpu_seconds() - before) / _LOOK_SECONDS)


def _cpu_seconds() -> float:
    """Returns the work of all cores since the machine started, in seconds: user, nice, system, irq, softirq."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq = map(int, file.readline().split()[1:8])
    except OSError:
        return 0.0
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _line_of(path: str, key: str) -> str:
    """Returns the text after the first `key:` in a file below /proc; empty text if there is none."""
    try:
        with open(path) as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(key)), "")
    except OSError:
        return ""

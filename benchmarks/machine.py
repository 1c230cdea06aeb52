"""What a measurement depends on beside the code: the machine, its load, and the versions of what is compared."""

import importlib.metadata
import os
import platform
from typing import Any

_PACKAGES = ("seer_tf", "tensorflow", "keras", "numpy", "torch", "transformers", "pillow")


def machine() -> dict[str, Any]:
    """Returns processor, cores, memory, load and versions, in JSON's types.

    `load` is the mean number of processes that wanted a core in the last minute: one of ours with two threads makes it
    two. `bfloat16_instructions` says whether the processor multiplies bfloat16 itself.
    """
    flags = _line_of("/proc/cpuinfo", "flags").split()
    return {
        "processor": _line_of("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "bfloat16_instructions": "avx512_bf16" in flags or "amx_bf16" in flags,
        "memory": _line_of("/proc/meminfo", "MemTotal"),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def peak_mib() -> float:
    """Returns the peak of this process's resident memory in MiB.

    Unlike that of `getrusage`, it does not begin with the peak of the process that started this one.
    """
    return int(_line_of("/proc/self/status", "VmHWM").split()[0]) / 1024


def _line_of(path: str, key: str) -> str:
    """Returns what stands behind the first `key:` of a file of Linux's, or nothing."""
    try:
        with open(path) as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(key)), "")
    except OSError:
        return ""

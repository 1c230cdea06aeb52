"""What a measurement depends on beside the code: the machine, its load, and the versions of what is compared."""

import importlib.metadata
import os
import platform
import time
from typing import Any

_PACKAGES = ("seer_tf", "tensorflow", "keras", "numpy", "torch", "transformers", "pillow")
_LOOK_SECONDS = 0.5


def machine() -> dict[str, Any]:
    """Returns processor, cores, memory, load and versions, in JSON's types.

    `load` is the mean number of processes that wanted a core in the last minute: one of ours with two threads makes it
    two. `busy_cores` is what other processes keep busy now, while this one waits. `bfloat16_instructions` says whether
    the processor multiplies bfloat16 itself.
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
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def peak_mib() -> float:
    """Returns the peak of this process's resident memory in MiB.

    Unlike that of `getrusage`, it does not begin with the peak of the process that started this one.
    """
    return int(_line_of("/proc/self/status", "VmHWM").split()[0]) / 1024


def _busy_cores() -> float:
    """Returns how many cores are busy while this process waits; 0 where Linux does not say."""
    before = _cpu_seconds()
    time.sleep(_LOOK_SECONDS)
    return max(0.0, (_cpu_seconds() - before) / _LOOK_SECONDS)


def _cpu_seconds() -> float:
    """Returns for how long all cores together worked since the machine started: user, nice, system, irq, softirq."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq = map(int, file.readline().split()[1:8])
    except OSError:
        return 0.0
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _line_of(path: str, key: str) -> str:
    """Returns what stands behind the first `key:` of a file of Linux's, or nothing."""
    try:
        with open(path) as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(key)), "")
    except OSError:
        return ""

"""The number of cores, the order of results, and imports on systems without the functions of Linux."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest

from seer_tf.parallel import LocalRunner, in_order

_ONE_CORE = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from seer_tf.parallel import num_cores
assert num_cores() == 1, num_cores()
"""

# The code removes the functions that macOS lacks. Several commands define flags with the same names, so the code
# removes all flags before it imports a command.
_IMPORT_ALL = """
import importlib, os, pkgutil, sys
del os.sched_getaffinity, os.sched_setaffinity
import seer_tf
from absl import flags
from seer_tf.parallel import num_cores
assert num_cores() >= 1
names = [module.name for module in pkgutil.walk_packages(seer_tf.__path__, "seer_tf.")]
scripts = ("seer_tf.cli.__main__", "seer_tf.exporting.readers.")
names = [name for name in names if not name.startswith(scripts)]
assert "seer_tf.data.sources.folder" in names and "seer_tf.cli.pretrain" in names
for name in names:
    if name.startswith("seer_tf.cli."):
        for flag in list(flags.FLAGS):
            delattr(flags.FLAGS, flag)
        for imported in [other for other in sys.modules if other.startswith("seer_tf.cli")]:
            del sys.modules[imported]
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] in ("seer_tf", "os"):
            raise  # all others are extras
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="macOS has no affinity")
def test_the_number_of_cores_follows_the_affinity() -> None:
    subprocess.run([sys.executable, "-c", _ONE_CORE], check=True)


def test_all_modules_import_without_linux_functions() -> None:
    subprocess.run([sys.executable, "-c", _IMPORT_ALL], check=True)


@dataclasses.dataclass(frozen=True)
class _GpusSeen:
    """A job that writes the GPUs visible to its process."""

    folder: str

    def path(self, number: int) -> str:
        return f"{self.folder}/{number}"

    def __call__(self, number: int, num_threads: int = 1) -> None:
        pathlib.Path(self.path(number)).write_text(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}")


def test_processes_that_share_a_job_see_no_gpu_and_their_parent_keeps_its_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert sorted(LocalRunner(2)(_GpusSeen(str(tmp_path)), range(8))) == list(range(8))
    processes, gpus = zip(*(file.read_text().split() for file in tmp_path.iterdir()), strict=True)
    assert str(os.getpid()) not in processes
    assert set(gpus) == {"-1"} and os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_results_come_in_order_and_few_are_worked_on_ahead():
    started = []

    def work(item):
        started.append(item)
        return item * item

    results = in_order(work, iter(range(1000)), 3)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(started) <= 5 + 4 * 3
    assert list(results) == [number * number for number in range(5, 1000)]

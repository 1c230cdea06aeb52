"""Random damage to everything that the program reads: each input gives a result or one sentence.

    python -m tests.fuzz --minutes=10 --seed=1 [--kinds=tar,coco]

A traceback, or an input that takes longer than half a minute of the processor, is a fault. Each kind of fault is
printed once, with the seed that shows it again. The exit status is 1 if there was one.
"""

import argparse
import logging
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import absl.logging
import tensorflow as tf

from tests.fuzz.kinds import KINDS
from tests.fuzz.trials import trials


def main() -> int:
    """Runs trials for a time, and prints each kind of fault once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kinds", default=",".join(KINDS))
    given = parser.parse_args()
    found: dict[tuple[str, str], int] = {}
    quiet()
    deadline, count = time.monotonic() + 60 * given.minutes, 0
    with tempfile.TemporaryDirectory() as root:
        for fault in trials(given.kinds.split(","), given.seed, pathlib.Path(root)):
            count += 1
            if fault is not None:
                key = (fault.error.partition(":")[0], fault.place)
                found[key] = found.get(key, 0) + 1
                if found[key] == 1:
                    print(f"--- {fault.kind} {fault.seed} at {fault.place}: {fault.error}\n{fault.text}", flush=True)
            if time.monotonic() > deadline:
                break
    print(f"{count} inputs, seed {given.seed}, {sum(found.values())} faults of {len(found)} kinds")
    for (error, place), times in sorted(found.items()):
        print(f"{times:6} {error} at {place}")
    return bool(found)


def quiet() -> None:
    """Leaves out what the program says about the inputs."""
    absl.logging.set_verbosity(absl.logging.FATAL)
    logging.getLogger().setLevel(logging.CRITICAL)
    tf.get_logger().setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())

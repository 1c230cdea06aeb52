"""Random damage to everything that the program reads: each input gives a result or one sentence.

    python -m tests.fuzz --number=10000 --seed=1 [--kinds=tar,coco] [--minutes=60]

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
    """Runs a number of trials, and prints each kind of fault once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=10_000, help="Number of inputs.")
    parser.add_argument("--minutes", type=float, default=60, help="End earlier after this time.")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kinds", default=",".join(KINDS))
    given = parser.parse_args()
    found: dict[tuple[str, str], int] = {}
    quiet()
    started, count = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as root:
        for fault in trials(given.kinds.split(","), given.seed, pathlib.Path(root)):
            count += 1
            if fault is not None:
                key = (fault.error.partition(":")[0], fault.place)
                found[key] = found.get(key, 0) + 1
                if found[key] == 1:
                    print(f"--- {fault.kind} {fault.seed} at {fault.place}: {fault.error}\n{fault.text}", flush=True)
            if count == given.number or time.monotonic() - started > 60 * given.minutes:
                break
    minutes = (time.monotonic() - started) / 60
    print(f"{count} inputs in {minutes:.1f} min, seed {given.seed}, {sum(found.values())} faults of {len(found)} kinds")
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

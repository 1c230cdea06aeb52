"""Kills commands at random moments, and gives them again: nothing may be lost, half-written or left lying about.

    python -m tests.kills --number=20 --seed=1 [--commands=prepare_shards,export]

In each trial a command is killed once or twice, with all its processes, and then given again until it ends by itself.
After each kill all that has its final name must be whole. In the end the output must equal that of a command that was
not killed, byte by byte where the format allows it, and no other file may be there. Of two workers one is killed, and
the other one must end by itself. The exit status is 1 if anything differed.
"""

import argparse
import logging
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.kills.commands import COMMANDS, prepare
from tests.kills.trials import reference, trial


def main() -> int:
    """Runs the trials of all commands, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=20, help="Number of trials of each command.")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--commands", default=",".join(COMMANDS))
    given = parser.parse_args()
    logging.getLogger().setLevel(logging.CRITICAL)
    num_faults = 0
    with tempfile.TemporaryDirectory() as root:
        for name in given.commands.split(","):
            num_faults += _trials(name, given.number, given.seed, pathlib.Path(root) / name)
    return bool(num_faults)


def _trials(name: str, number: int, seed: int, place: pathlib.Path) -> int:
    """Runs the trials of one command; returns the number of trials with a fault."""
    place.mkdir()
    prepare(place)
    expected = reference(COMMANDS[name], place)
    print(f"{name}: {expected.seconds:.1f} s uninterrupted, seed {seed}", flush=True)
    kills, faulty = 0, 0
    for index in range(number):
        outcome = trial(COMMANDS[name], expected, place, f"{seed}/{index}")
        moments = " and ".join(f"{seconds:.1f} s" for seconds in outcome.killed_after)
        print(f"  {index}: killed after {moments or 'its end'}: {'; '.join(outcome.faults) or 'equal'}", flush=True)
        kills, faulty = kills + len(outcome.killed_after), faulty + bool(outcome.faults)
    print(f"{name}: {number} trials, {kills} kills, {faulty} with a fault", flush=True)
    return faulty


if __name__ == "__main__":
    sys.exit(main())

"""One trial: a command is killed at random moments, and given again until it ends by itself."""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

from tests.kills.commands import Command
from tests.two_processes import free_ports

_SECONDS = 600
_MEETING_SECONDS = 60
#: TensorFlow is imported once, in the process from which all others are forked.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tensorflow", "keras", "seer_tf.api"])

#: Statuses of a worker whose partner was killed: it was complete, the meeting failed, or it lost the partner.
_ALONE = (0, 2, os.EX_TEMPFAIL)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        killed_after: Seconds after which the command was killed, in order; a command that ended before is not counted.
        faults: What differs from an uninterrupted command; empty if nothing does.
    """

    killed_after: Sequence[float]
    faults: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Reference:
    """An uninterrupted command.

    Attributes:
        seconds: Duration.
        facts: Facts about its output, as the command's `facts` returns them.
        names: Names of all files that it left.
    """

    seconds: float
    facts: Mapping[str, Any]
    names: set[str]


def reference(command: Command, place: pathlib.Path) -> Reference:
    """Runs a command without interruption.

    Raises:
        RuntimeError: The command failed.
    """
    output = place / "reference" / "output"
    output.parent.mkdir()
    started = time.monotonic()
    with _started(command, place, output) as workers:
        statuses = _ends(workers)
    if any(statuses):
        raise RuntimeError(f"the uninterrupted command ended with {statuses}: {_said(output)}")
    return Reference(time.monotonic() - started, command.facts(output), _names(output.parent))


def trial(command: Command, expected: Reference, place: pathlib.Path, seed: str) -> Outcome:
    """Kills a command once or twice, gives it again until it ends, and compares its output.

    Args:
        command: Command to kill.
        expected: The same command without interruption.
        place: Directory with what the command reads; the trial makes a directory in it.
        seed: Seed of the moments.
    """
    draw, killed_after = random.Random(seed), list[float]()
    output = place / f"trial-{seed.replace('/', '-')}" / "output"
    output.parent.mkdir(exist_ok=True)
    faults: list[str] = []
    for _ in range(draw.choice((1, 2))):
        seconds = draw.uniform(0, 1.1 * expected.seconds)
        with _started(command, place, output) as workers:
            if _killed(draw.choice(workers), seconds):
                killed_after.append(seconds)
            statuses = _ends(workers)
        faults += [f"status {each} beside a killed worker" for each in statuses if each not in (*_ALONE, -9)]
        faults += _differing(command.facts(output), expected.facts, "after a kill")
        if statuses == [0] * len(statuses):
            break
    else:
        with _started(command, place, output) as workers:
            statuses = _ends(workers)
    if statuses != [0] * len(statuses):
        return Outcome(killed_after, [*faults, f"the last command ended with {statuses}: {_said(output)}"])
    missing = expected.facts.keys() - command.facts(output).keys()
    left = {name for name in _names(output.parent) ^ expected.names if "events.out" not in name}
    faults += _differing(command.facts(output), expected.facts, "at the end")
    return Outcome(killed_after, [*faults, *(f"missing: {name}" for name in missing), *(f"left: {n}" for n in left)])


def _differing(found: Mapping[str, Any], expected: Mapping[str, Any], when: str) -> list[str]:
    """Returns a sentence for each fact that differs; facts that only one side has are left to the comparison of names.

    A run's last line of history and results is one of a complete run at its end only.
    """
    names = [name for name in found.keys() & expected.keys() if when == "at the end" or not name.endswith(".jsonl")]
    return [f"{name} differs {when}" for name in sorted(names) if found[name] != expected[name]]


@contextlib.contextmanager
def _started(command: Command, place: pathlib.Path, output: pathlib.Path) -> Iterator[list[BaseProcess]]:
    """Starts the processes of a command, and kills at the end what still runs."""
    flags, addresses = command.flags(place, output), [f"localhost:{port}" for port in free_ports(command.num_workers)]
    workers = []
    for index in range(command.num_workers):
        own = [f"--workers={','.join(addresses)}", f"--worker_index={index}", f"--meeting_seconds={_MEETING_SECONDS}"]
        arguments = [*flags, *(own if command.num_workers > 1 else [])]
        log = output.parent.with_name(f"{output.parent.name}-{index}.txt")
        workers.append(_SERVER.Process(target=_run, args=(arguments, str(log))))
        workers[-1].start()
    try:
        yield list(workers)
    finally:
        for worker in workers:
            _kill(worker)
            worker.join()


def _run(arguments: list[str], log: str) -> None:
    """Runs a command in this process, which leads a group of its own, as a shell would start it."""
    os.setpgrp()
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    sys.argv = ["seer-tf", *arguments]
    from seer_tf.cli.entry import main  # here, because the command's flags belong to this process alone

    main()


def _killed(worker: BaseProcess, seconds: float) -> bool:
    """Kills a worker with all its processes after a time; returns whether it still ran."""
    worker.join(seconds)
    was_alive = worker.is_alive()
    _kill(worker)
    return was_alive


def _kill(worker: BaseProcess) -> None:
    for kill in (os.killpg, os.kill):  # the group does not exist before the process has made it
        with contextlib.suppress(ProcessLookupError):
            kill(worker.pid or 0, signal.SIGKILL)


def _ends(workers: Sequence[BaseProcess]) -> list[int | None]:
    """Waits until all workers have ended, and returns their statuses; None for one that takes too long."""
    deadline = time.monotonic() + _SECONDS
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    return [worker.exitcode for worker in workers]


def _names(directory: pathlib.Path) -> set[str]:
    """Returns the names of all files, hidden ones too; a file of events has no name of its own."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if "events.out" not in path.name}


def _said(output: pathlib.Path) -> str:
    """Returns the last lines of all workers."""
    logs = sorted(output.parent.parent.glob(f"{output.parent.name}-*.txt"))
    return " | ".join(log.read_text(errors="replace")[-1500:] for log in logs)

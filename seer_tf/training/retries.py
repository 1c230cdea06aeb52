"""Retries: attempts that were given up because a health check found that they do not learn.

With `run.on_trouble=recover` such a run starts again with the settings that the check names. `retries.json` in the run
directory lists the attempts that were given up, so a run that is stopped continues in the attempt that it was in.
`attempt-N/` keeps TensorBoard's events of attempt N; its checkpoints are removed.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from seer_tf import config as configs
from seer_tf.config import AnyConfig
from seer_tf.errors import InputError
from seer_tf.files import sealed_json
from seer_tf.files.atomic import remove_directory, write_atomically
from seer_tf.quantities import counted
from seer_tf.training.health import Problem
from seer_tf.training.run_directory import RunDirectory

MOST = 2
#: Name in the log of the number of retries.
RETRIES = "training/retries"


@dataclasses.dataclass(frozen=True)
class Retry:
    """Why a run started again, and what it changed.

    Attributes:
        step: Step at which the attempt was given up.
        problem: Problem that the health check found, with the evidence.
        changes: New values of config fields, as text, by `section.field`.
    """

    step: int
    problem: str
    changes: Mapping[str, str]

    def __str__(self) -> str:
        """Returns the retry as one sentence."""
        changes = " and ".join(f"{field}={value}" for field, value in self.changes.items())
        return f"at step {self.step} {self.problem}; the run started again from step 0 with {changes}"


@dataclasses.dataclass(frozen=True)
class _Retries:
    """The content of `retries.json`."""

    retries: tuple[Retry, ...] = ()


def read_retries(directory: RunDirectory) -> tuple[Retry, ...]:
    """Returns the retries of a run, the first one first.

    Raises:
        InputError: The file of the retries is damaged.
    """
    try:
        return sealed_json.read(directory.retries.read_bytes(), _Retries).retries
    except FileNotFoundError:
        return ()
    except (OSError, sealed_json.DamagedJsonError) as error:
        raise InputError(f"{directory.retries} cannot be read ({error}); start again in another `run_dir`") from None


def with_retries(config: AnyConfig, retries: Sequence[Retry]) -> AnyConfig:
    """Returns the config of a run's latest attempt.

    Args:
        config: Config that the run was given.
        retries: Retries of the run.
    """
    return configs.override(config, [f"{field}={value}" for retry in retries for field, value in retry.changes.items()])


def give_up(directory: RunDirectory, step: int, problem: Problem) -> Retry:
    """Gives up the present attempt: removes its checkpoints, sets its events aside, and notes why.

    The note is written last. If the process dies before, the attempt is made once more.

    Args:
        directory: Run directory. No checkpoint is being written to it.
        step: Present step.
        problem: Problem with other settings.

    Returns:
        The new retry.

    Raises:
        InputError: The directory cannot be written.
    """
    retries = read_retries(directory)
    changes = {field: configs.format_value(value) for field, value in problem.changes.items()}
    retry = Retry(step, f"{problem.condition} ({problem.evidence})", changes)
    aside = directory.attempt(len(retries) + 1)
    try:
        remove_directory(aside)
        remove_directory(directory.checkpoints)
        aside.mkdir()
        directory.tensorboard.rename(aside / directory.tensorboard.name)
        content = dataclasses.asdict(_Retries((*retries, retry)))
        write_atomically(directory.retries, sealed_json.text(content))
    except OSError as error:
        raise InputError(
            f"{directory.path} cannot be written ({error.strerror}); make room or give permission, then the same "
            "command continues"
        ) from None
    return retry


def summary(retries: Sequence[Retry]) -> str:
    """Returns sentences about the retries of a run; an empty text without retries."""
    if not retries:
        return ""
    return f"The run needed {counted(len(retries), 'retry')}: {'. Then '.join(map(str, retries))}."

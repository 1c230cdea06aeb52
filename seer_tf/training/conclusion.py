"""The conclusion of a complete run: sentences about its result, in `conclusion.json`."""

import dataclasses

from seer_tf.errors import InputError
from seer_tf.files import sealed_json
from seer_tf.files.atomic import write_atomically
from seer_tf.training.run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class _Conclusion:
    text: str


def write_conclusion(directory: RunDirectory, text: str) -> None:
    """Writes the conclusion of a run.

    Raises:
        InputError: The directory cannot be written.
    """
    content = sealed_json.text(dataclasses.asdict(_Conclusion(text)))
    try:
        write_atomically(directory.conclusion, content)
    except OSError as error:
        raise InputError(
            f"{directory.conclusion} cannot be written ({error.strerror}); make room or give permission, then the same "
            "command continues"
        ) from None


def read_conclusion(directory: RunDirectory) -> str:
    """Returns the conclusion of a run; an empty text if there is none or it is damaged."""
    try:
        return sealed_json.read(directory.conclusion.read_bytes(), _Conclusion).text
    except (OSError, sealed_json.DamagedJsonError):
        return ""

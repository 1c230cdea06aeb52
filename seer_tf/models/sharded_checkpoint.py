"""A checkpoint in several files: an index of Hugging Face's kind names the file that holds each tensor.

Large networks are published this way, as `model.safetensors.index.json` beside `model-00001-of-00003.safetensors`, or
as `pytorch_model.bin.index.json` beside `pytorch_model-00001-of-00003.bin`.
"""

import json
import os
import re
from pathlib import Path

from seer_tf.errors import InputError
from seer_tf.models.checkpoint_files import StoredTensor, read_tensors

_INDEX = ".index.json"
_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>\.\w+)")
_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".torch")


def read_checkpoint(path: Path) -> dict[str, StoredTensor]:
    """Returns the tensors of a checkpoint by name, from one file or from several. No values are read.

    Args:
        path: A file with tensors, an index, or a directory that holds one checkpoint.

    Raises:
        InputError: The checkpoint is missing, broken, incomplete, or one part of several; or the directory holds none
            or more than one.
    """
    if path.is_dir():
        path = _only_checkpoint(path)
    if path.name.endswith(_INDEX):
        return _read_indexed(path)
    part = _PART.fullmatch(path.name)
    if part and int(part["total"]) > 1 and path.exists():
        raise InputError(
            f"{path}: this is part {int(part['number'])} of {int(part['total'])} of a checkpoint; "
            f"give {path.with_name(part['name'] + part['suffix'] + _INDEX)}, or the directory."
        )
    return read_tensors(path)


def _only_checkpoint(directory: Path) -> Path:
    """Returns the index in a directory, or the file with all tensors if there is no index."""
    files = sorted(file for file in directory.iterdir() if file.is_file())
    found = [file for file in files if file.name.endswith(_INDEX)] or [
        file for file in files if file.suffix in _SUFFIXES and not _PART.fullmatch(file.name)
    ]
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InputError(
            f"{directory}: one checkpoint is needed, and this directory has {names}; give the file, or its index."
        )
    return found[0]


def _read_indexed(index: Path) -> dict[str, StoredTensor]:
    file_names = _file_names(index)
    parts = {}
    for file_name in dict.fromkeys(file_names.values()):
        part = index.with_name(file_name)
        if not os.path.isfile(part):  # False for a name too long for the system, where `Path.is_file` fails.
            raise InputError(f"{index}: its part {file_name} is missing; fetch it into the same directory.")
        parts[file_name] = read_tensors(part)
    absent = [name for name, file_name in file_names.items() if name not in parts[file_name]]
    if absent:
        raise InputError(
            f"{index}: {file_names[absent[0]]} has no tensor {absent[0]}, although the index names it; fetch all "
            "parts and the index again from one place."
        )
    return {name: parts[file_name][name] for name, file_name in file_names.items()}


def _file_names(index: Path) -> dict[str, str]:
    """Returns the file of each tensor by the tensor's name."""
    try:
        file_names = json.loads(index.read_text("utf-8"))["weight_map"]
        is_valid = bool(file_names) and all(_is_in_same_directory(name) for name in file_names.values())
    except OSError as error:
        raise InputError(f"{index}: {error.strerror}; give the index of a checkpoint.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_valid = False
    if not is_valid:
        raise InputError(
            f"{index}: this is no index of a checkpoint, because an index has a `weight_map` that names a file in the "
            "same directory for each tensor; fetch it again."
        )
    return file_names


def _is_in_same_directory(file_name: object) -> bool:
    return isinstance(file_name, str) and file_name not in ("", ".", "..") and not re.search(r"[/\\\0]", file_name)

"""Reads named tensors from safetensors and PyTorch files, without running any code in a pickle.

A pickle can call any function. Here `torch.load` builds only tensors, containers and plain numbers (`weights_only`).
NumPy's scalars, which VISSL stores beside the weights, are allowed by name. Everything else is refused by name. Files
are memory-mapped where their format allows it, so that only the requested tensors are read.
"""

import contextlib
import dataclasses
import functools
import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors

from seer_tf.errors import InputError

_ZIP = b"PK"
_SCALAR = np.float64().__reduce__()[0]  # the function that makes a NumPy scalar of a dtype and bytes
_NUMPY_SCALARS = [
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name before NumPy 2
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(code)) for code in "?bhilqBHILQefd"},
]
# Names that an ordinary pickle of weights asks for. The error message that names the others leaves these out.
_HARMLESS = re.compile(
    r"collections\.OrderedDict|torch\.\w+Storage|torch\._utils\._rebuild_(tensor_v2|parameter)|torch\.(Size|device)"
    r"|numpy\.dtype|numpy\._?core\.multiarray\.scalar|_codecs\.encode"
)


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file.

    Attributes:
        shape: Shape of the tensor.
        read: Function that returns the tensor as float32.
    """

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def read_tensors(path: Path) -> dict[str, StoredTensor]:
    """Returns the tensors of a file by name. Dots join the keys of nested dictionaries.

    The first bytes of the file decide on its format, not its name.

    Raises:
        InputError: The file is missing, broken, in another format or asks to run code, or PyTorch is missing.
    """
    try:
        with open(path, "rb") as file:
            beginning = file.read(9)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a checkpoint file.") from None
    if beginning[8:] == b"{":  # the length of a JSON header, then the header
        return _read_safetensors(path)
    if beginning.startswith(_ZIP) or beginning.startswith(pickle.PROTO):
        return _read_pickled(path, is_zip=beginning.startswith(_ZIP))
    raise InputError(f"{path}: this is neither a safetensors nor a PyTorch file; give the checkpoint of a RegNetY.")


def _read_safetensors(path: Path) -> dict[str, StoredTensor]:
    try:
        file = safetensors.safe_open(path, framework="np")
        return {
            name: StoredTensor(tuple(file.get_slice(name).get_shape()), functools.partial(_get, file, name))
            for name in file.keys()
        }
    except safetensors.SafetensorError as error:
        raise _broken(path, error) from None


def _get(file: Any, name: str) -> np.ndarray:
    return file.get_tensor(name).astype(np.float32, copy=False)


def _read_pickled(path: Path, *, is_zip: bool) -> dict[str, StoredTensor]:
    try:
        import torch  # an optional dependency
    except ImportError:
        raise InputError(f"{path}: reading this file needs PyTorch; pip install 'seer_tf[torch]'.") from None
    try:
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
        return {
            name: StoredTensor(tuple(leaf.shape), functools.partial(_array, leaf))
            for name, leaf in _leaves(content)
            if isinstance(leaf, torch.Tensor)
        }
    except pickle.UnpicklingError:
        foreign = sorted(name for name in _named_globals(path, is_zip=is_zip) if not _HARMLESS.fullmatch(name))
        if not foreign:
            raise _broken(path, "its pickle cannot be read") from None
        raise InputError(
            f"{path}: refused, because its pickle asks for {', '.join(foreign)}, which weights do not need and which "
            "could run code; take the file from where it was published."
        ) from None
    except Exception as error:  # a broken pickle makes torch raise anything
        raise _broken(path, error) from None


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().float().numpy()  # a view of the file if the tensor is already float32


def _leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves of nested dictionaries and sequences, each with its keys joined by dots."""
    if isinstance(content, Mapping | list | tuple):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in items:
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, content


def _named_globals(path: Path, *, is_zip: bool) -> set[str]:
    """Returns the functions and classes that the pickles in a file name, without unpickling them."""
    names: set[str] = set()
    strings: list[str] = []
    with contextlib.suppress(Exception), open(path, "rb") as file:  # genops raises where no pickle follows
        stream = io.BytesIO(_member(file, "data.pkl")) if is_zip else file
        while True:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == "GLOBAL":
                    names.add(str(argument).replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL":
                    names.add(".".join(strings[-2:]))
                elif isinstance(argument, str):
                    strings.append(argument)
    return names


def _member(file: BinaryIO, name: str) -> bytes:
    """Returns the member of a zip archive whose path ends with `name`."""
    with zipfile.ZipFile(file) as archive:
        return next(archive.read(member) for member in archive.namelist() if member.endswith(name))


def _broken(path: Path, reason: object) -> InputError:
    words = str(reason).strip().split("\n")[0] or type(reason).__name__
    return InputError(f"{path}: the file is truncated, broken or no checkpoint ({words}); fetch it again.")

"""The export formats: their files, their tolerances and the packages that they need."""

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seer_tf.errors import InputError
from seer_tf.exporting import fresh_process
from seer_tf.exporting.writers import keras_file, litert, onnx, pytorch, saved_model
from seer_tf.models import all_stages
from seer_tf.networks.network import Network
from seer_tf.registry import Registry

_PROTOCOL_BUFFER_BYTES = 2**31  # largest size of a protocol buffer or a flat buffer


@dataclasses.dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        file_name: Path below the directory of the export; "." for the directory itself.
        tolerance: Largest allowed difference from the network in float32, relative to the largest value of an output.
        reader: Script that runs such a file in a fresh process. Its arguments are the file, a directory with images,
            and the NPZ file for the outputs; `readers/` has examples.
        write: Function that writes a file. It takes network and path, and calibration images if `is_calibrated`.
        is_calibrated: Whether the format needs calibration images.
        weight_bytes: Bytes of one weight.
        max_bytes: Largest size of a file, in bytes.
        extra: Extra of this package that installs `modules`.
        modules: Modules that are needed to write or read such a file.
        user_variables: Environment variables that users may have set. The file is tested once with each setting.
        lacks: Outputs of a network that such a file does not have.
        stand_in: Program that reads the file in place of the users' own program; empty if it is the same program.
    """

    file_name: str
    tolerance: float
    reader: Path
    write: Callable[..., None]
    is_calibrated: bool = False
    weight_bytes: int = 4
    max_bytes: float = float("inf")
    extra: str = ""
    modules: tuple[str, ...] = ()
    user_variables: Sequence[Mapping[str, str]] = (fresh_process.AS_IT_IS,)
    stand_in: str = ""
    lacks: tuple[str, ...] = ()


def _litert(name: str, tolerance: float, write: Callable[..., None], weight_bytes: int) -> Format:
    return Format(
        f"model_{name}.tflite",
        tolerance,
        fresh_process.READERS / "litert.py",
        write,
        is_calibrated=name == "int8",
        weight_bytes=weight_bytes,
        max_bytes=_PROTOCOL_BUFFER_BYTES,
        extra="litert",
        modules=("ai_edge_litert",),
        lacks=(all_stages.NAME,) if weight_bytes == 1 else (),  # whitening raises the errors of int8
    )


def _pytorch(file_name: str, write: Callable[..., None]) -> Format:
    reader = fresh_process.READERS / "pytorch.py"
    stand_in = "the converter of seer_tf (PyTorch was not run)"
    return Format(file_name, 1e-5, reader, write, stand_in=stand_in, lacks=(all_stages.NAME,))


_OF_THIS_PACKAGE = {
    "saved_model": Format(
        ".",
        1e-5,
        fresh_process.READERS / "saved_model.py",
        saved_model.write_saved_model,
        user_variables=fresh_process.EVERY_ONE_DNN,
    ),
    "keras": Format(
        "model.keras",
        1e-5,
        fresh_process.READERS / "keras_file.py",
        keras_file.write_keras_file,
        user_variables=fresh_process.EVERY_ONE_DNN,
    ),
    "litert_float32": _litert("float32", 1e-4, litert.write_float32, 4),
    "litert_float16": _litert("float16", 1e-2, litert.write_float16, 2),
    "litert_dynamic_int8": _litert("dynamic_int8", 0.1, litert.write_dynamic_int8, 1),
    "litert_int8": _litert("int8", 0.2, litert.write_int8, 1),
    "onnx": Format(
        "model.onnx",
        1e-4,
        fresh_process.READERS / "onnx.py",
        onnx.write_onnx,
        max_bytes=_PROTOCOL_BUFFER_BYTES,
        extra="onnx",
        modules=("onnx", "onnxruntime", "tf2onnx"),
    ),
    "timm": _pytorch("timm.safetensors", pytorch.write_timm),
    "hugging_face": _pytorch("hugging_face", pytorch.write_hugging_face),
}
FORMATS = Registry("format", _OF_THIS_PACKAGE)
register = FORMATS.register


def check_formats(names: Sequence[str]) -> None:
    """Raises an error if files of these formats cannot be written here; needs no network.

    Raises:
        InputError: No format is named, a format is unknown, or a package that it needs is missing.
    """
    if not names:
        raise InputError(f"no format is named, so nothing would be written; take some of {', '.join(FORMATS)}")
    for name in names:
        _installed(name)


def find_format(name: str, network: Network) -> Format:
    """Returns the format with a name, if the network can be written in this format here.

    Raises:
        InputError: The format is unknown, a package that it needs is missing, or the network is too large for it.
    """
    found = _installed(name)
    num_bytes = network.on_images.count_params() * found.weight_bytes
    if num_bytes > found.max_bytes:
        raise InputError(
            f"the network's weights take {num_bytes / 1e9:.1f} GB as {name}, and such a file holds at most "
            f"{found.max_bytes / 1e9:.1f} GB; take saved_model or keras, or a format with smaller weights"
        )
    return found


def _installed(name: str) -> Format:
    found = FORMATS.find(name)
    missing = [module for module in found.modules if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(
            f"the format {name} needs {', '.join(missing)}; install it by: pip install 'seer_tf[{found.extra}]'"
        )
    return found

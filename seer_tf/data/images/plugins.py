"""Pillow's plugins, and those for HEIC and JPEG XL where they are installed."""

import functools
import importlib
import importlib.util
import warnings

from PIL import Image


@functools.cache
def register() -> None:
    """Loads the plugins, so that `Image.open` knows their formats."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # Remarks on metadata, without the name of the file.
    Image.init()
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    if importlib.util.find_spec("pillow_jxl"):
        importlib.import_module("pillow_jxl")

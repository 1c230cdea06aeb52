"""Image files that a table or an annotation names without their suffix, as `img_0017` for `img_0017.jpg`."""

import os

from seer_tf.files import storage

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".jxl")


def completed(directory: str, name: str) -> str:
    """Returns a name with the suffix of the only image file in `directory` that has it; else the name as it is."""
    path = storage.join(directory, name)
    if "." in os.path.basename(name) or storage.is_remote(path) or os.path.isfile(path):
        return name
    spellings = (_SUFFIXES, tuple(map(str.upper, _SUFFIXES)))
    for suffixes in spellings:
        found = [name + suffix for suffix in suffixes if os.path.isfile(path + suffix)]
        if found:
            return found[0] if len(found) == 1 else name
    return name

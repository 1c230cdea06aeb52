"""`list:FILE`: images named by a text file with a path or URL on each line; paths are relative to its directory."""

import os

from seer_tf.data.sources import image_files
from seer_tf.errors import InputError
from seer_tf.files import storage


def open_list(path: str, *, to_prepare: bool = False) -> image_files.FilesSource:
    """Opens the images that a list names. Files that cannot be used are left out; the log counts and names them.

    Raises:
        InputError: The list cannot be read, is not text, is empty, or names no image.
    """
    try:
        text = storage.read(path).decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise InputError(f"list:{path}: the list cannot be read ({error.strerror}); give a text file.") from None
    if "\0" in text:  # UTF-16 has NUL bytes; names of files have none.
        raise InputError(f"list:{path}: this is not text in UTF-8 (it contains a NUL byte); save it as UTF-8.")
    names = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not names:
        raise InputError(f"list:{path}: the list is empty; write the path of an image on each line.")
    directory = os.path.dirname(path)
    usable, rejected = image_files.find_usable_files(f"list:{path}", directory, names, to_prepare=to_prepare)
    return image_files.FilesSource(directory, usable, rejected)

"""Files that are there whole or not at all."""

import os
import pathlib
import tempfile


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file beside its place and renames it, so that nobody ever finds half of it.

    Args:
        path: of the file; one that is there is replaced.
        content: text, written as UTF-8, or bytes.

    Raises:
        OSError: it cannot be written; the file that was there is as it was, and nothing else is left.
    """
    path = pathlib.Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # a temporary file is for its owner only
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

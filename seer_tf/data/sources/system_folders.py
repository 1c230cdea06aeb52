"""Folders that systems and tools leave among images: previews, waste baskets, resource forks."""

from collections.abc import Sequence

from absl import logging

from seer_tf.quantities import counted

#: In lower case. Hidden folders, such as `.thumbnails`, are skipped before.
_NAMES = frozenset(
    (
        "@eadir",  # Synology
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "@recently-snapshot",
        "@__thumb",
        "$recycle.bin",  # Windows
        "recycled",
        "recycler",
        "found.000",
        "system volume information",
        "__macosx",  # macOS
        "network trash folder",
        "temporary items",
        "ipod photo cache",
        "lost+found",  # Linux
        "thumbnails",
        "_thumbnails",
        "_thumbs",
        "__pycache__",
        "node_modules",
        "lightning_logs",
        "mlruns",
        "wandb",
    )
)
_NUM_NAMED_FOLDERS = 5


def separated(spec: str, names: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Separates the files in folders of systems and tools, at any depth. The log counts them and names the folders.

    Args:
        spec: Data spec, for the log.
        names: Paths of files, relative to the place that was named.

    Returns:
        All other names; name and reason for each file in such a folder.
    """
    kept, skipped = [], []
    folders: dict[str, None] = {}
    for name in names:
        place = _system_folder(name)
        if place is None:
            kept.append(name)
        else:
            skipped.append((name, f"in a folder of a system or tool: {place}"))
            folders[place] = None
    if skipped:
        named = ", ".join(list(folders)[:_NUM_NAMED_FOLDERS]) + (", ..." if len(folders) > _NUM_NAMED_FOLDERS else "")
        files, where = counted(len(skipped), "file"), counted(len(folders), "folder")
        logging.warning("%s: %s skipped in %s of systems or tools (%s)", spec, files, where, named)
    return kept, skipped


def _system_folder(name: str) -> str | None:
    """Returns the part of a path that ends with the folder of a system or tool, or None."""
    parts = name.split("/")
    found = next((depth for depth, part in enumerate(parts, start=1) if part.lower() in _NAMES), None)
    return None if found is None else "/".join(parts[:found])

"""A long run: memory, descriptors, threads, files and output, while images are prepared and read, and while training.

    python -m benchmarks.suite.soak --images=50000 --steps=5000

Each part is the command that a user would give, in a process of its own. The images are small JPEGs of noise in ten
classes. Training takes recipe `debug_tiny` with checkpoints, examinations and a probe. The tables have the medians of
the four quarters of each command's time. A quantity that is not the same in the last three quarters is growth.
"""

import argparse
import io
import pathlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from benchmarks.harness.machine import machine
from benchmarks.harness.process_watch import quarters, watched

_SIDE_PX, _CLASSES, _PROBE_IMAGES = 32, 10, 100
_EVERY_STEPS = 50
_HEADER = ("", "first quarter", "second", "third", "last")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs all parts, and prints a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000, help="Number of images.")
    parser.add_argument("--steps", type=int, default=5_000, help="Number of training steps.")
    parser.add_argument("--every_steps", type=int, default=_EVERY_STEPS, help="Steps between two checkpoints.")
    given = parser.parse_args(argv)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as root:
        place = pathlib.Path(root)
        write_images(place / "images", given.images)
        write_images(place / "probe", _PROBE_IMAGES, seed=1)
        for number, (name, command) in enumerate(commands(place, given.steps, given.every_steps).items()):
            started = time.monotonic()
            looks = watched(command, place / name, place / f"{name}.txt")
            title = f"{number + 1}. {name}: {time.monotonic() - started:.0f} s, {len(looks)} looks"
            print(table(title, quarters(looks)), flush=True)


def commands(place: pathlib.Path, num_steps: int, every_steps: int) -> dict[str, list[str]]:
    """Returns the commands by the names of their output directories below `place`, in order."""
    settings = {
        "run.num_steps": num_steps,
        "run.checkpoint_every_steps": every_steps,
        "run.examine_every_steps": every_steps,
        "run.log_every_steps": max(1, every_steps // 2),
        "crops.sizes_px": "16,8",
    }
    train = [f"--data=shards:{place}/prepare_shards", f"--probe_data=folder:{place}/probe", "--recipe=debug_tiny"]
    return {
        name: [sys.executable, "-m", "seer_tf.cli", name, *flags, f"--{output}={place / name}"]
        for name, output, flags in (
            ("prepare_shards", "output", [f"--data=folder:{place}/images", "--shard_mb=5"]),
            ("extract_features", "output", [f"--data=shards:{place}/prepare_shards", "--pixels=histogram"]),
            ("pretrain", "run_dir", [*train, *(f"--set={field}={value}" for field, value in settings.items())]),
        )
    }


def write_images(directory: pathlib.Path, number: int, *, seed: int = 0) -> None:
    """Writes JPEGs of noise, as many in each of ten class folders."""
    for index in range(number):
        folder = directory / f"class {index % _CLASSES}"
        if index < _CLASSES:
            folder.mkdir(parents=True)
        pixels = np.random.default_rng([seed, index]).integers(0, 256, [_SIDE_PX // 4, _SIDE_PX // 4, 3], np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC).save(file, "JPEG")
        (folder / f"{index:06d}.jpg").write_bytes(file.getvalue())


def table(title: str, values: Mapping[str, Sequence[float]]) -> str:
    """Returns a title and a table in Markdown.

    Args:
        title: Title.
        values: Four numbers by name of the quantity.
    """
    rows = [_HEADER, ("---",) * len(_HEADER), *((name, *(f"{each:.4g}" for each in of)) for name, of in values.items())]
    return "\n".join([f"### {title}", "", *(f"| {' | '.join(row)} |" for row in rows), ""])


if __name__ == "__main__":
    main()

"""Makes shards of any images: globally shuffled, checked, with a manifest and the list of rejected files.

python experiments/prepare_shards.py --data=folder:photos --output=shards
"""

import os

from absl import flags

from experiments import command
from seer_tf.data import shards
from seer_tf.data.sources import open_source
from seer_tf.errors import InputError

DATA = flags.DEFINE_string("data", None, "Images: folder:DIR, builtin, shards:DIR or tfds:NAME@SPLIT.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "Directory of the shards: new, empty or begun.", required=True)
SHARD_MB = flags.DEFINE_float("shard_mb", 128, "About how large a shard becomes, in MB.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the global shuffle.")
WORKERS = flags.DEFINE_integer("workers", os.cpu_count() or 1, "Threads that read and decode.")


def main() -> None:
    """Writes the shards and prints what came of it."""
    if SHARD_MB.value <= 0 or WORKERS.value < 1:
        raise InputError("--shard_mb must be more than 0 and --workers at least 1.")
    report = shards.write_shards(
        open_source(DATA.value),
        OUTPUT.value,
        shard_bytes=round(SHARD_MB.value * 1e6),
        seed=SEED.value,
        num_workers=WORKERS.value,
    )
    print(f"{report.num_images} images in {report.num_shards} shards, {report.num_bytes / 1e6:.1f} MB: {OUTPUT.value}")
    for reason, count in report.rejected_by_reason.items():
        print(f"{count} rejected: {reason}")


if __name__ == "__main__":
    command.run(main)

"""Writes the features of all images in a data set once, for all evaluations; the same command continues after a stop.

With several workers (--workers, TF_CONFIG or Slurm) each worker starts this command and writes its own shards.
"""

import dataclasses
import os

from absl import flags

from seer_tf.cli import command, feature_flags, strategy_flags
from seer_tf.data.sources.registry import absolute, check_source, open_source
from seer_tf.data.sources.usable import usable
from seer_tf.evaluation.features.shards import SHARD_BYTES, check_output, write_features
from seer_tf.evaluation.features.store import DTYPES, FORMATS
from seer_tf.quantities import counted

DATA = command.required(
    flags.DEFINE_string("data", None, "Images, e.g. folder:DIR; their labels, if any, are stored too.")
)
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write or to continue."))
FORMAT = flags.DEFINE_enum(
    "format", "npy", FORMATS, "Format of the files: arrays, records of tf.train.Example, or Parquet tables."
)
DTYPE = flags.DEFINE_enum("dtype", "float16", DTYPES, "Type of the numbers.")
SHARD_MB = flags.DEFINE_float("shard_mb", SHARD_BYTES / 1e6, "Approximate size of a shard, in MB.", lower_bound=0.001)

flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(strategy_flags)


def main() -> None:
    """Runs the command."""
    check_source(DATA.value)
    check_output(OUTPUT.value)
    cluster = strategy_flags.cluster()
    extractor = feature_flags.request().extractor(strategy_flags.NUM_DEVICES.value)
    if feature_flags.MODEL.value is not None:  # the stored path must be valid in every working directory
        extractor = dataclasses.replace(extractor, model=os.path.abspath(extractor.model))
    source = usable(open_source(DATA.value))
    write_features(
        extractor,
        source,
        OUTPUT.value,
        data=absolute(DATA.value),
        file_format=FORMAT.value,
        dtype=DTYPE.value,
        shard_bytes=round(SHARD_MB.value * 1e6),
        worker=cluster.index if cluster else 0,
        num_workers=len(cluster.workers) if cluster else 1,
    )
    stages = ", ".join(f"{stage} ({pooling.dim:,})" for stage, pooling in extractor.poolings.items())
    print(
        f"{OUTPUT.value}: {stages} from {counted(source.num_images, 'image')}; use them by "
        f"--train_data=features:{OUTPUT.value}"
    )

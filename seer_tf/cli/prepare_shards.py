"""Writes images to shards: globally shuffled, checked, with a manifest, a list of rejected files and an audit.

python experiments/prepare_shards.py --data=folder:photos --output=shards
"""

import os

from absl import flags

from seer_tf.cli import command
from seer_tf.data.shards.beam import BeamRunner
from seer_tf.data.shards.prepare import check_output, write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.registry import check_source, grammar, open_source
from seer_tf.parallel import LocalRunner, num_cores
from seer_tf.reports.audit import write_audit

_MIN_SHARD_MB = 0.001

DATA = command.required(flags.DEFINE_string("data", None, f"Images: {grammar()}."))
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory of the shards: new, empty or unfinished."))
SHARD_MB = flags.DEFINE_float("shard_mb", 150, "Approximate size of a shard, in MB.", _MIN_SHARD_MB)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the global shuffle.", 0, 2**32 - 1)
LONGEST_SIDE_PX = flags.DEFINE_integer(
    "longest_side_px",
    0,
    "Resize images so that the longer side is at most this many pixels. [no image is resized]",
    0,
)
KEEP_TRUNCATED = flags.DEFINE_bool(
    "keep_truncated", False, "Keep JPEG files that end early; the missing part is grey or coarse."
)
DROP_DUPLICATES = flags.DEFINE_bool("drop_duplicates", False, "Keep only the first of several images that look alike.")
JOBS = flags.DEFINE_integer("jobs", num_cores(), "Number of images that are processed at once.", 1)
RUNNER = flags.DEFINE_enum("runner", "local", ["local", "beam"], "Runner: this machine or Apache Beam.")
BEAM_OPTION = flags.DEFINE_multi_string(
    "beam_option", [], "Option of the Beam pipeline, e.g. --runner=FlinkRunner. Repeatable."
)


def main() -> None:
    """Writes the shards and prints the audit."""
    run = BeamRunner(BEAM_OPTION.value) if RUNNER.value == "beam" else LocalRunner(JOBS.value)
    check_source(DATA.value)
    check_output(OUTPUT.value)
    audit = write_shards(
        open_source(DATA.value, to_prepare=True),
        OUTPUT.value,
        ShardOptions(longest_side_px=LONGEST_SIDE_PX.value, keep_truncated=KEEP_TRUNCATED.value),
        run=run,
        shard_bytes=round(SHARD_MB.value * 1e6),
        seed=SEED.value,
        drop_duplicates=DROP_DUPLICATES.value,
    )
    print(f"{OUTPUT.value}: {audit.text()}", flush=True)
    page = os.path.join(OUTPUT.value, "audit.html")
    write_audit(audit, OUTPUT.value, page)
    print(f"{page} shows the same with pictures")

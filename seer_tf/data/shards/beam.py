"""Shards made by Apache Beam, for those who outgrow a machine: each element of the pipeline is a shard to be made.

The task is the one that runs on a single machine, so the records are the same. All workers must reach images and output
under the same paths: a shared file system, or URLs that `tf.io.gfile` opens.
"""

from collections.abc import Iterator, Sequence

from seer_tf.errors import InputError
from seer_tf.parallel import Job


class BeamRunner:
    """A pipeline for each call; see docs/guides/preparing_data.md for its options on Dataflow, Flink and Spark."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        """`options` are those of the pipeline, such as `--runner=FlinkRunner`; by default it runs in this process.

        Raises:
            InputError: Apache Beam is not installed.
        """
        try:
            import apache_beam  # only here: it is an extra
        except ModuleNotFoundError:
            raise InputError(
                "--runner=beam needs Apache Beam, which is not installed; run: pip install 'seer_tf[beam]'"
            ) from None
        self._beam, self._options = apache_beam, list(options)

    def __call__(self, task: Job, numbers: Sequence[int]) -> Iterator[int]:
        """Does the task of each number, and yields the numbers when the pipeline has ended."""
        beam = self._beam
        if numbers:
            with beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(self._options)) as pipeline:
                # Reshuffled, because what is created in one place is otherwise worked on in one place.
                _ = pipeline | beam.Create(list(numbers)) | beam.Reshuffle() | beam.Map(task)
        yield from numbers

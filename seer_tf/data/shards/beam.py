"""Runs jobs by Apache Beam, for data sets that are too large for one machine; each element is a shard to write.

The job is the one that runs on a single machine, so the records are the same. All workers must reach images and output
under the same paths: a shared file system, or URLs.
"""

from collections.abc import Iterator, Sequence

from seer_tf.errors import InputError
from seer_tf.parallel import Job


class BeamRunner:
    """Runs one pipeline per call; docs/guides/preparing_data.md lists its options for Dataflow, Flink and Spark."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        """Imports Apache Beam.

        Args:
            options: Options of the pipeline, as on Beam's command line; by default the pipeline runs in this process.

        Raises:
            InputError: Apache Beam is not installed.
        """
        try:
            import apache_beam  # only here: it is an extra
        except ModuleNotFoundError:
            raise InputError("Apache Beam is not installed; run: pip install 'seer_tf[beam]'") from None
        self._beam, self._options = apache_beam, list(options)

    def __call__(self, job: Job, numbers: Sequence[int]) -> Iterator[int]:
        """Does the job for each number, and yields the numbers when the pipeline has ended."""
        beam = self._beam
        if numbers:
            with beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(self._options)) as pipeline:
                # Without the reshuffle, one worker would process all elements.
                _ = pipeline | beam.Create(list(numbers)) | beam.Reshuffle() | beam.Map(job)
        yield from numbers

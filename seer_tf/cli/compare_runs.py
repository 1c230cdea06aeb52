"""Compares runs: prints the config fields that differ, and overlays the curves on one page.

python experiments/compare_runs.py RUN [RUN ...] [--reference=NAME] --output=comparison.html
"""

from pathlib import Path

from absl import flags

from seer_tf.cli.messages import with_flags
from seer_tf.errors import InputError
from seer_tf.files.atomic import check_file
from seer_tf.quantities import counted
from seer_tf.reports.reference_band import REFERENCES, Verdict, judge, read_references
from seer_tf.reports.run_comparison import ComparedRun, config_differences, read_run, write_comparison

RUNS = flags.DEFINE_multi_string("run", [], "A run directory, or a file that --log_json wrote. Repeatable.")
POSITIONAL = RUNS
REFERENCE = flags.DEFINE_string("reference", None, "Recipe whose reference runs are compared with the first run.")
OUTPUT = flags.DEFINE_string("output", "comparison.html", "HTML file to write.")


def main() -> None:
    """Runs the command."""
    if not RUNS.value:
        raise InputError("name one run or more, e.g. compare_runs.py RUN_A RUN_B")
    check_file(OUTPUT.value)
    references = read_references(REFERENCES, REFERENCE.value) if REFERENCE.value else []
    runs = [read_run(place) for place in {Path(place).resolve(): place for place in RUNS.value}.values()]
    verdicts = judge(runs[0].curves, references) if references else []
    _print_conclusions(runs)
    _print_differences(runs)
    _print_verdicts(runs[0], verdicts)
    write_comparison(OUTPUT.value, runs, references, verdicts, REFERENCE.value or "")
    print(f"{OUTPUT.value}: written")


def _print_conclusions(runs: list[ComparedRun]) -> None:
    for run in runs:
        for text in filter(None, (*run.retries, run.conclusion)):
            print(with_flags(f"{run.name}: {text}"))


def _print_differences(runs: list[ComparedRun]) -> None:
    for field, values in config_differences(runs):
        print(f"{field}: {', '.join(values)}")


def _print_verdicts(run: ComparedRun, verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        inside = f"{verdict.num_inside} of {counted(verdict.num_steps, 'step')} inside the band"
        print(f"{verdict.name}: {inside}{verdict.outside and '; '}{verdict.outside}")
    if verdicts:
        outside = [verdict.name for verdict in verdicts if not verdict.is_inside]
        print(f"{run.name} is {'outside the band in ' + ', '.join(outside) if outside else 'inside the band'}")

"""Data from users becomes a data spec or a source. A run that does not start leaves no shards behind."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.api.images import as_data, spec_of_run
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.builtin import BuiltinSource
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.training.run_directory import RunDirectory

_IMAGES = np.random.default_rng(0).integers(0, 256, [5, 6, 9, 3]).astype(np.uint8)


def test_paths_and_specs_stay_text() -> None:
    assert as_data("folder:x") == "folder:x"
    assert as_data(pathlib.Path("photos")) == "photos"
    assert as_data("~/photos") == f"{pathlib.Path.home()}/photos"


def test_a_source_stays_the_same() -> None:
    source = BuiltinSource("test")
    assert as_data(source) is source and open_source(source) is source


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (_IMAGES, None),
        ((_IMAGES, [0, 1, 0, 1, 1]), [0, 1, 0, 1, 1]),
        (tf.data.Dataset.from_tensor_slices(_IMAGES), None),
        (tf.data.Dataset.from_tensor_slices((_IMAGES, [3, 5, 3, 5, 5])), [0, 1, 0, 1, 1]),
    ],
)
def test_arrays_and_datasets_become_sources(images: object, labels: list[int] | None) -> None:
    source = as_data(images)
    assert isinstance(source, Source) and source.num_images == 5
    assert (None if source.labels is None else source.labels.tolist()) == labels


def test_a_value_that_is_no_data_gets_an_error_with_its_type() -> None:
    with pytest.raises(InputError, match="`data` is a list; give a folder"):
        as_data([_IMAGES])


def test_arrays_of_a_run_lie_in_its_directory(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with spec_of_run(_IMAGES, directory) as spec:
        assert spec == f"shards:{tmp_path / 'run' / 'shards'}"
        source = open_source(spec)
        directory.check_place()  # a directory with only shards is free for a run
    pixels = {source.ids[number]: tf.io.decode_png(source.read(number)).numpy() for number in range(5)}
    np.testing.assert_array_equal([pixels[str(number)] for number in range(5)], _IMAGES)
    with pytest.raises(InputError, match="the shards there differ"), spec_of_run(_IMAGES[:4], directory):
        pass


def test_a_run_that_does_not_begin_leaves_nothing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="no"), spec_of_run(_IMAGES, RunDirectory(tmp_path / "run")):
        raise InputError("no")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_something_else_stays_as_it_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"), spec_of_run(_IMAGES, RunDirectory(tmp_path)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

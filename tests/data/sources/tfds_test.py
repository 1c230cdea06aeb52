"""A dataset of TensorFlow Datasets that the test prepares, read by number. Nothing is downloaded."""

import io
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from seer_tf.data.sources import registry
from seer_tf.errors import InputError

_NUM_TRAIN = 11


def _encoded(number: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (5, 4), (number, 0, 0)).save(encoded, "PNG")
    return encoded.getvalue()


class Numbers(tfds.core.GeneratorBasedBuilder):
    """Each image shows its number. The labels are even and odd, or the divisors of the number."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="small"),
        tfds.core.BuilderConfig(name="divisors"),
        tfds.core.BuilderConfig(name="difficult"),
    ]
    pkg_dir_path = pathlib.Path(__file__).parent
    code_path = None  # TFDS looks for checksums of downloads beside this path
    url_infos: dict[str, Any] = {}

    def _info(self) -> tfds.core.DatasetInfo:
        picture = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
        several = tfds.features.Sequence(tfds.features.ClassLabel(names=["two", "three"]))
        kinds: dict[str, dict[str, Any]] = {
            "small": {"kind": tfds.features.ClassLabel(names=["even", "odd"])},
            "divisors": {"kind": several},
            "difficult": {"kind": several, "kind_no_difficult": several},
        }
        features = tfds.features.FeaturesDict({"picture": picture, **kinds[self.builder_config.name]})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(range(_NUM_TRAIN)), "test": self._generate_examples(range(50, 53))}

    def _generate_examples(self, numbers: range) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in numbers:
            divisors = [kind for kind, divisor in enumerate((2, 3)) if number % divisor == 0]
            kinds: dict[str, dict[str, Any]] = {
                "small": {"kind": number % 2},
                "divisors": {"kind": divisors},
                "difficult": {"kind": divisors, "kind_no_difficult": divisors[:1]},
            }
            yield number, {"picture": io.BytesIO(_encoded(number)), **kinds[self.builder_config.name]}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The configurations as `tfds build` prepares them, in two record files if there are enough images."""
    directory = tmp_path_factory.mktemp("tfds")
    for config in Numbers.BUILDER_CONFIGS:
        builder = Numbers(data_dir=str(directory), config=config.name)
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=2))
    return directory


@pytest.fixture(autouse=True)
def _there(data_dir, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(data_dir))


@pytest.mark.parametrize("name", ["numbers/small", "numbers/small:1.0.0"])
def test_images_stay_the_encoded_bytes(name):
    source = registry.open_source(f"tfds:{name}@train")
    assert source.num_images == len(set(source.ids)) == _NUM_TRAIN
    assert [source.read(index) for index in range(_NUM_TRAIN)] == [_encoded(number) for number in range(_NUM_TRAIN)]


def test_labels_and_names_of_classes():
    source = registry.open_source("tfds:numbers/small@test")
    assert source.class_names == ("even", "odd")
    assert source.labels is not None and source.labels.dtype == np.int64
    assert source.labels.tolist() == [0, 1, 0]


def test_several_classes_of_an_image():
    source = registry.open_source("tfds:numbers/divisors@train")
    assert source.class_names == ("two", "three") and source.labels is None
    assert [source.classes_of(index) for index in range(4)] == [(0, 1), (), (0,), (1,)]


def test_difficult_classes_are_neither_present_nor_absent():
    source = registry.open_source("tfds:numbers/difficult@train")
    assert [source.classes_of(index) for index in range(4)] == [(0,), (), (0,), (1,)]
    assert [source.absent_of(index) for index in range(4)] == [(), (0, 1), (1,), (0,)]
    assert registry.open_source("tfds:numbers/divisors@train").absent_of(0) is None


def test_a_slice_of_a_split():
    source = registry.open_source("tfds:numbers/small@train[3:7]")
    assert [source.read(index) for index in range(source.num_images)] == [_encoded(number) for number in range(3, 7)]


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("tfds:numbers/small", "the split is missing"),
        ("tfds:numbers/small/train", "the split is missing"),
        ("tfds:numbers/small@validation", "there is no split 'validation'; it has"),
        ("tfds:nothing_of_this_name@train", "no such dataset is prepared"),
        ("tfds:cifar10@train", "no such dataset is prepared"),
        ("tfds:numbers/large@train", "no such dataset is prepared"),
        ("tfds:numbers/small:7.0.0@train", "no such dataset is prepared"),
    ],
)
def test_a_missing_dataset_or_split_gets_one_sentence(flag, sentence):
    with pytest.raises(InputError, match=sentence):
        registry.open_source(flag)

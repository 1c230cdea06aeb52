"""A dataset of TensorFlow Datasets, prepared here and by number; nothing is downloaded."""

import io

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from seer_tf.data import sources
from seer_tf.errors import InputError

_NUM_TRAIN = 11


def _encoded(number: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (5, 4), (number, 0, 0)).save(encoded, "PNG")
    return encoded.getvalue()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tfds")
    version = directory / "numbers" / "small" / "1.0.0"
    version.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {
            "picture": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "kind": tfds.features.ClassLabel(names=["even", "odd"]),
        }
    )
    template = tfds.core.ShardedFileTemplate(data_dir=version, dataset_name="numbers", filetype_suffix="tfrecord")
    splits = []
    for split, shards in {"train": [range(6), range(6, _NUM_TRAIN)], "test": [range(50, 53)]}.items():
        for number, images in enumerate(shards):
            name = f"numbers-{split}.tfrecord-{number:05d}-of-{len(shards):05d}"
            with tf.io.TFRecordWriter(str(version / name)) as writer:
                for image in images:
                    example = {"picture": io.BytesIO(_encoded(image)), "kind": image % 2}
                    writer.write(features.serialize_example(features.encode_example(example)))
        lengths = [len(images) for images in shards]
        splits.append(tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=0, filename_template=template))
    tfds.folder_dataset.write_metadata(data_dir=version, features=features, split_infos=splits)
    return directory


@pytest.fixture(autouse=True)
def _there(data_dir, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(data_dir))


@pytest.mark.parametrize("name", ["numbers/small", "numbers/small:1.0.0"])
def test_images_stay_the_encoded_bytes(name):
    source = sources.open_source(f"tfds:{name}@train")
    assert source.num_images == len(set(source.ids)) == _NUM_TRAIN
    assert [source.read(index) for index in range(_NUM_TRAIN)] == [_encoded(number) for number in range(_NUM_TRAIN)]


def test_labels_and_names_of_classes():
    source = sources.open_source("tfds:numbers/small@test")
    assert source.class_names == ("even", "odd")
    assert source.labels is not None and source.labels.dtype == np.int64
    assert source.labels.tolist() == [0, 1, 0]


def test_a_slice_of_a_split():
    source = sources.open_source("tfds:numbers/small@train[3:7]")
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
def test_what_is_not_there_is_one_sentence(flag, sentence):
    with pytest.raises(InputError, match=sentence):
        sources.open_source(flag)

"""One definition of an accepted image: every door gives every faulty image the same answer."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import CropsConfig
from seer_tf.data.images import acceptance, formats, graph_acceptance, limits
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines import detection, evaluation, pretraining
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.shards.prepare import write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.errors import InputError
from seer_tf.exporting.writers.saved_model import _decoded_crops
from seer_tf.parallel import LocalRunner
from tests.data.images import faults
from tests.data.images.decode_test import good_files
from tests.places import ROOT

_SIDE_PX = 16
_BAD = faults.REFUSED | faults.CONVERTED
_PLAIN = CropsConfig(num=(1,), sizes_px=(_SIDE_PX,), min_area_fractions=(0.5,), max_area_fractions=(1.0,))


class _Images(Source):
    """Images in memory, which nobody has looked at."""

    def __init__(self, images: dict[str, bytes], *, is_verified: bool = False) -> None:
        self.ids, self._encoded, self.is_verified = list(images), list(images.values()), is_verified

    def read(self, index: int) -> bytes:
        return self._encoded[index]


def _write(directory: Path, images: dict[str, bytes]) -> Path:
    directory.mkdir(parents=True)
    for name, content in images.items():
        (directory / name).write_bytes(content)
    return directory


def _bad() -> dict[str, bytes]:
    return {name: content for name, (content, _) in _BAD.items()}


@pytest.mark.parametrize("name", faults.ACCEPTED)
def test_good_ones_are_accepted(name: str) -> None:
    assert acceptance.reject_reason(faults.ACCEPTED[name]) is None


@pytest.mark.parametrize("name", _BAD)
def test_the_reason(name: str) -> None:
    content, reason = _BAD[name]
    assert reason in str(acceptance.reject_reason(content))


def test_the_parser_of_headers_follows_the_decoder() -> None:
    assert formats.read_header(faults.ACCEPTED["false_frame.jpg"]).size == "40 x 30"


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An image whose header is read as another size, as a reader with a mistake would."""
    content = faults.encoded(faults.picture(), "JPEG", comment=b"liar")
    right = formats._SIZE_READERS["JPEG"]

    def wrong(encoded: bytes) -> tuple[int, int]:
        return (90, 80) if b"liar" in encoded else right(encoded)

    monkeypatch.setitem(formats._SIZE_READERS, "JPEG", wrong)
    return content


def test_pixels_of_another_size_than_the_header_says_are_refused(liar: bytes) -> None:
    assert acceptance.reject_reason(liar) == "header and pixels differ in size: 80 x 90 and 40 x 30"


def test_shards_leave_them_out_and_name_them(liar: bytes, tmp_path: Path) -> None:
    bad = {**_bad(), "liar.jpg": liar}
    spec = f"folder:{_write(tmp_path / 'images', bad | {'good.jpg': faults.ACCEPTED['plain.jpg']})}"
    options = ShardOptions()
    source = open_source(spec, to_prepare=True)
    write_shards(source, str(tmp_path / "shards"), options, run=LocalRunner(1), shard_bytes=10**6)
    lines = (tmp_path / "shards" / "rejected.tsv").read_text().splitlines()[1:]
    reasons = dict(line.split("\t") for line in lines)
    assert reasons.keys() == {*faults.REFUSED, "liar.jpg"}
    assert all(reason in reasons[name] for name, (_, reason) in faults.REFUSED.items())
    assert sorted(open_source(f"shards:{tmp_path / 'shards'}").ids) == ["good.jpg", "palette.bmp"]


def test_training_from_finished_shards_replaces_counts_and_names_them(liar: bytes) -> None:
    """Shards that an earlier version wrote may hold all but those that do not decode."""
    bad = {**_bad(), "liar.jpg": liar}
    del bad["cut.jpg"]
    images = bad | {f"{number}.jpg": faults.ACCEPTED["plain.jpg"] for number in range(4)}
    source = ReplacingSource(_Images(images, is_verified=True), max_bad_fraction=1.0)
    batches = pretraining.pretraining_dataset(
        source,
        _PLAIN,
        local_batch_size=len(images),
        global_batch_size=len(images),
        first_image_in_batch=0,
        seed=0,
        first_step=0,
    )
    for _ in batches.take(2):
        pass
    assert source.num_bad == len(bad)


def test_evaluation_names_them(liar: bytes) -> None:
    images = {**_bad(), "liar.jpg": liar, "good.jpg": faults.ACCEPTED["plain.jpg"]}
    batches = iter(evaluation.images_dataset(_Images(images), Transform(_SIDE_PX), batch_size=1))
    named = []
    for _ in range(len(images) - 1):
        with pytest.raises(InputError) as refused, unreadable_images_named():
            next(batches)
        named.append(str(refused.value).partition(": ")[0])
    assert named == list(images)[:-1] and next(batches).shape[0] == 1


def test_detection_leaves_them_out(liar: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = {**_bad(), "liar.jpg": liar, "good.jpg": faults.ACCEPTED["plain.jpg"]}
    _write(tmp_path / "train", images)
    content = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(images)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": [2, 2, 9, 9]} for number in range(len(images))
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(content))
    with caplog.at_level("WARNING"):
        boxes = detection.open_boxes(tmp_path, "train")
    assert [image.file.name for image in boxes.images] == ["good.jpg"]
    assert f"{len(images) - 1} of {len(images)} images left out" in caplog.text


def test_an_exported_network_refuses_them() -> None:
    files = [*_bad().values(), *faults.ACCEPTED.values(), *good_files()]
    serve = tf.function(lambda encoded: _decoded_crops(encoded, Transform(_SIDE_PX)), autograph=False)
    crops, valid = serve(tf.constant(files))
    expected = [False] * len(_BAD) + [True] * (len(files) - len(_BAD))
    assert valid.numpy().tolist() == expected
    transform = Transform(_SIDE_PX)
    for crop, content in zip(crops.numpy()[len(_BAD) : len(_BAD) + 8], faults.ACCEPTED.values(), strict=True):
        np.testing.assert_array_equal(crop, transform(tf.constant(acceptance.upright(content))))


def test_the_definition_in_a_graph_is_the_same() -> None:
    """Also for headers with changed bytes; where the two differ, the image does not decode."""
    accepted = tf.function(
        graph_acceptance.accepted_size, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
    )
    files, rng = [*good_files(), *faults.ACCEPTED.values(), *_bad().values()], np.random.default_rng(5)
    for _ in range(100):
        changed = bytearray(files[rng.integers(len(good_files()))])
        for place in rng.integers(0, min(64, len(changed)), rng.integers(1, 5)):
            changed[place] ^= 1 << rng.integers(8)
        files.append(bytes(changed))
    for content in files:
        found = _or_zeros(lambda content=content: tuple(accepted(content).numpy().tolist()))
        header = _or_zeros(lambda content=content: acceptance.check_header(content))
        size = header and (header.height_px, header.width_px)
        assert found == size or (found is None or found == (0, 0)) and acceptance.reject_reason(content), content[:40]


def _or_zeros(function):
    try:
        return function()
    except (formats.UnusableImageError, tf.errors.OpError):
        return None


def test_the_page_names_every_limit() -> None:
    page = (ROOT / "docs" / "reference" / "limits.md").read_text()
    every = [value for value in vars(limits).values() if isinstance(value, limits.Limit)]
    assert [limit.words for limit in every if f"| more than {limit.words} |" not in page] == [] and len(every) == 9


def test_a_file_of_thirty_gigabytes_is_not_read(tmp_path: Path) -> None:
    _write(tmp_path / "images", {"good.jpg": faults.ACCEPTED["plain.jpg"], "sparse.jpg": b"\xff\xd8\xff"})
    with (tmp_path / "images" / "sparse.jpg").open("r+b") as file:
        file.truncate(30_000_000_000)
    source = open_source(f"folder:{tmp_path / 'images'}")
    assert source.rejected == [("sparse.jpg", "30000000000 bytes are more than 300 MB in a file")]

"""The kinds of input that the program reads: how good ones are written, and how they are read."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import seer_tf
from seer_tf import config as configs
from seer_tf.data.images import acceptance
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.detection import open_boxes
from seer_tf.data.shards.prepare import write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.registry import check_source, open_source
from seer_tf.distributed.cluster import find_cluster
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.shards import write_features
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.evaluation.features.store import open_features
from seer_tf.evaluation.result import EvaluationResult, read_file
from seer_tf.finetuning import recipes as finetuning_recipes
from seer_tf.models.backbones.regnet.convert import convert
from seer_tf.models.sharded_checkpoint import read_checkpoint
from seer_tf.networks.load import load_network
from seer_tf.parallel import Job, LocalRunner, Runner
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.conclusion import read_conclusion, write_conclusion
from seer_tf.training.health import Interval, Problem
from seer_tf.training.history import History, Unfinished
from seer_tf.training.retries import give_up, read_retries, with_retries
from seer_tf.training.run_directory import RunDirectory
from tests.data.images import faults
from tests.evaluation.features.shards_test import _features, _Images
from tests.fuzz.damage import NASTY, Draw, changed, damaged
from tests.models import sharded_checkpoint_test
from tests.places import GOLDEN


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        make: Writes good files into a directory.
        read: Reads what is in a directory.
        damages: Which files are damaged, as a pattern; "" for none.
    """

    make: Callable[[pathlib.Path], object]
    read: Callable[[pathlib.Path, Draw], object]
    damages: str = "*"


def _images(directory: pathlib.Path) -> None:
    for name in ("a/plain.jpg", "a/plain.png", "b/plain.bmp", "b/alpha.webp"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(faults.ACCEPTED[path.name])


def _read_all(spec: str) -> None:
    source = open_source(spec)
    for index in range(min(4, source.num_images)):
        source.classes_of(index)
        source.absent_of(index)
        str(source.ids[index])
        with contextlib.suppress(UnusableImageError):
            acceptance.reject_reason(source.read(index))
    source.fingerprint()


def _make_table(text: str, name: str = "table.csv") -> Callable[[pathlib.Path], object]:
    def make(directory: pathlib.Path) -> None:
        _images(directory)
        (directory / name).write_text(text)

    return make


def _make_tar(directory: pathlib.Path) -> None:
    _images(directory / "images")
    (directory / "images" / "a" / "plain.cls").write_text("3")
    (directory / "images" / "b" / "plain.json").write_text('{"label": ["cat", 7], "caption": "x"}')
    with tarfile.open(directory / "images.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted((directory / "images").rglob("*.*")):
            archive.add(path, path.relative_to(directory / "images").as_posix())
        link = tarfile.TarInfo("a/é.png")
        link.type, link.linkname = tarfile.SYMTYPE, "plain.png"
        archive.addfile(link)


def _make_shards(directory: pathlib.Path) -> None:
    _images(directory.parent / "of_shards")
    source = open_source(f"folder:{directory.parent / 'of_shards'}")
    write_shards(source, str(directory), ShardOptions(), run=LocalRunner(1), shard_bytes=10**6)


def _make_coco(directory: pathlib.Path) -> None:
    _images(directory / "train")
    names = ["a/plain.jpg", "a/plain.png"]
    box = {"category_id": 1, "bbox": [2, 2, 9.5, 9], "area": 85.5, "iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 6]]}
    content = {
        "images": [{"id": n, "file_name": name, "width": 40, "height": 30} for n, name in enumerate(names)],
        "annotations": [
            *({"id": n, "image_id": n % 2, **box} for n in range(3)),
            {"id": 3, "image_id": 1, "category_id": 1, "segmentation": {"size": [30, 40], "counts": [34, 7, 1159]}},
            {"id": 4, "image_id": 1, "category_id": 1, "segmentation": {"size": [30, 40], "counts": "R17WT1"}},
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (directory / "annotations").mkdir()
    (directory / "annotations" / "instances_train.json").write_text(json.dumps(content))


def _make_voc(directory: pathlib.Path) -> None:
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (directory / folder).mkdir(parents=True)
    for name in ("one", "two"):
        (directory / "JPEGImages" / f"{name}.jpg").write_bytes(faults.ACCEPTED["plain.jpg"])
        box = "".join(
            f"<{side}>{3 * number + 1}</{side}>" for number, side in enumerate(("xmin", "ymin", "xmax", "ymax"))
        )
        thing = f"<object><name>cat</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
        size = "<size><width>40</width><height>30</height></size>"
        text = f'<?xml version="1.0"?><annotation><filename>{name}.jpg</filename>{size}{thing}</annotation>'
        (directory / "Annotations" / f"{name}.xml").write_text(text)
    (directory / "ImageSets" / "Main" / "train.txt").write_text("one\ntwo\n")
    (directory / "ImageSets" / "Main" / "cat_train.txt").write_text("one 1\ntwo -1\n")


def _read_voc(directory: pathlib.Path, draw: Draw) -> None:
    if draw.random() < 0.5:
        open_boxes(directory, "train")
    else:
        _read_all(f"voc:{directory}@train")


def _make_features(file_format: str) -> Callable[[pathlib.Path], object]:
    def make(directory: pathlib.Path) -> None:

        poolings = {"avgpool": Pooling(1, 1, 3), "res4": Pooling(2, 1, 3)}
        extractor = Extractor(_features, poolings, "RUN", "digest", Transform(4), batch_size=4)
        write_features(extractor, _Images(), directory, data="folder:x", file_format=file_format, shard_bytes=200)

    return make


def _read_features(directory: pathlib.Path, draw: Draw) -> None:
    features = open_features(directory)
    for rows in features.rows.values():
        rows[np.arange(len(features.ids))]


def _make_run(directory: pathlib.Path) -> None:
    """Writes a run of two steps; its parts are damaged one at a time."""
    _images(directory.parent / "of_run")
    settings = {
        "crops.sizes_px": (8, 4),
        "head.num_prototypes": 3,
        "data.global_batch_size": 4,
        "run.num_steps": 4,
        "run.checkpoint_every_steps": 2,
    }
    seer_tf.pretrain(directory.parent / "of_run", directory, recipe="debug_tiny", settings=settings)


def _read_run(directory: pathlib.Path, draw: Draw) -> None:
    run = RunDirectory(directory)
    run.check(run.read_config(), run.images())
    load_network(directory)


def _nothing(directory: pathlib.Path) -> None:
    (directory / "nothing").write_bytes(b"")


def _read_setting(directory: pathlib.Path, draw: Draw) -> None:
    """Reads one to three random assignments to random fields."""
    config = draw.choice([recipe("debug_tiny"), finetuning_recipes.recipe("finetune_small")])
    fields = [each.path for each in configs.describe(type(config))]
    texts = [
        f"{draw.choice(fields)}={_text(b''.join(draw.choices(_VALUES, k=draw.choice((1, 1, 2)))))}"
        for _ in range(draw.choice((1, 1, 3)))
    ]
    if draw.random() < 0.1:
        texts.append(_text(damaged(texts[0].encode(errors="surrogateescape"), draw)))
    configs.validate(configs.override(config, texts))


def _text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def _read_flag(directory: pathlib.Path, draw: Draw) -> None:
    """Reads a random data spec about things that are there."""
    text = draw.choice(_FLAG_KINDS) + draw.choice(["", f"{directory}/"]) + draw.choice(_FLAG_PLACES)
    if draw.random() < 0.5:
        text = _text(changed(text.encode() or b"x", draw))
    check_source(text)
    if str(directory) in text:
        _read_all(text)


def _make_flag(directory: pathlib.Path) -> None:
    _images(directory / "images")
    (directory / "table.csv").write_text("file,label\nimages/a/plain.jpg,x\n")
    (directory / "nothing").write_bytes(b"")


def _make_parquet(directory: pathlib.Path) -> None:
    _images(directory)
    columns = {"file": ["a/plain.jpg", "b/plain.bmp"], "label": [["cat"], []], "number": [1, 2]}
    pyarrow.parquet.write_table(pyarrow.table(columns), directory / "t.parquet")


def _read_cluster(directory: pathlib.Path, draw: Draw) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CONFIG", (directory / "TF_CONFIG").read_bytes().replace(b"\0", b"").decode(errors="replace"))
        find_cluster()


def _make_parts(suffix: str) -> Callable[[pathlib.Path], object]:
    return lambda directory: sharded_checkpoint_test._write(directory, suffix)


def _read_parts(directory: pathlib.Path, draw: Draw) -> None:
    for tensor in read_checkpoint(directory).values():
        tensor.read()


def _make_unfinished(directory: pathlib.Path) -> None:
    """Writes shards but for the last one, as a command that was killed leaves them."""
    images = directory.parent / "of_unfinished"
    _images(images)

    def all_but_one(job: Job, numbers: Sequence[int]) -> Iterator[int]:
        yield from LocalRunner(1)(job, numbers[:-1])
        raise InputError("killed")

    with contextlib.suppress(InputError):
        _write_unfinished(directory, images, all_but_one)


def _write_unfinished(directory: pathlib.Path, images: pathlib.Path, run: Runner) -> None:
    source = open_source(f"folder:{images}")
    write_shards(source, str(directory), ShardOptions(), run=run, shard_bytes=300, drop_duplicates=True)


def _make_marks(directory: pathlib.Path) -> None:
    run = RunDirectory(directory)
    history = History(run.history, 0)
    history.add(Interval(0, 2, {"loss": 1.5, "speed": float("inf")}, (1, "the loss")))
    history.keep(3, Unfinished(2, {"loss": np.ones(1, np.float32)}, 0.5))
    write_conclusion(run, "It learned.")
    run.tensorboard.mkdir()
    give_up(run, 2, Problem("it fell", "loss 3", "lower it", {"schedule.peak_learning_rate": 0.1}))


def _read_marks(directory: pathlib.Path, draw: Draw) -> None:
    run = RunDirectory(directory)
    History(run.history, 3)
    read_conclusion(run)
    with_retries(recipe("debug_tiny"), read_retries(run))


_CLUSTER = '{"cluster": {"worker": ["node1:2222", "node2:2222"]}, "task": {"type": "worker", "index": 1}}'
_CSV = "file,kind,more\na/plain.jpg,cat,\na/plain.png,dog,cat\nb/plain.bmp,cat;dog,\n"
_ONE_HOT = "file,cat,dog\na/plain.jpg,1,0\na/plain.png,0,1\nb/plain.bmp,1,1\n"
_JSONL = '{"file": "a/plain.jpg", "label": "cat"}\n{"file": "a/plain.png", "label": ["dog", "cat"]}\n'
_RESULT = EvaluationResult("knn", "k=5", "top-1", 0.5, (0.4, 0.6), "RUN", "folder:x", "folder:y", 3, 3, 2, 0, {})
_FLAG_KINDS = ("folder:", "list:", "csv:", "tar:", "shards:", "voc:", "builtin:", "builtin", "", "folder", "nothing:")
_FLAG_PLACES = ("", ".", "/", "images", "nothing", "a", "table.csv", "images@a", "images@train", "x@y@z", "?", "~")
_VALUES = (*NASTY, b"0", b"1", b"2", b"0.5", b"true", b"1,2", b"-0.0", b"1_0", b"0x10", b" 3 ", b"1e5", b"all", b"a=b")

KINDS = {
    "set": Kind(_nothing, _read_setting, ""),
    "flag": Kind(_make_flag, _read_flag, ""),
    "image": Kind(_images, lambda place, draw: _read_all(f"folder:{place}")),
    "csv": Kind(_make_table(_CSV), lambda place, draw: _read_all(f"csv:{place}/table.csv"), "table.csv"),
    "one_hot": Kind(_make_table(_ONE_HOT), lambda place, draw: _read_all(f"csv:{place}/table.csv"), "table.csv"),
    "jsonl": Kind(_make_table(_JSONL, "t.jsonl"), lambda place, draw: _read_all(f"csv:{place}/t.jsonl"), "t.jsonl"),
    "parquet": Kind(_make_parquet, lambda place, draw: _read_all(f"csv:{place}/t.parquet"), "t.parquet"),
    "marks": Kind(_make_marks, _read_marks, "*.json*"),
    "safetensors": Kind(_make_parts("safetensors"), _read_parts),
    "torch_parts": Kind(_make_parts("bin"), _read_parts),
    "unfinished": Kind(
        _make_unfinished,
        lambda place, draw: _write_unfinished(place, place.parent / "of_unfinished", LocalRunner(1)),
        "*[!k]",
    ),
    "cluster": Kind(lambda place: (place / "TF_CONFIG").write_text(_CLUSTER), _read_cluster),
    "list": Kind(
        _make_table("a/plain.jpg\nb/plain.bmp\n", "list.txt"),
        lambda place, draw: _read_all(f"list:{place}/list.txt"),
        "list.txt",
    ),
    "tar": Kind(_make_tar, lambda place, draw: _read_all(f"tar:{place}/images.tar"), "images.tar"),
    "coco": Kind(_make_coco, lambda place, draw: open_boxes(place, "train"), "*.json"),
    "voc": Kind(_make_voc, _read_voc, "*[lt]"),
    "shards": Kind(_make_shards, lambda place, draw: _read_all(f"shards:{place}")),
    "results": Kind(
        lambda place: (place / "results.jsonl").write_text(f"{_RESULT.to_json()}\n" * 2),
        lambda place, draw: read_file(place / "results.jsonl"),
    ),
    "config": Kind(
        lambda place: shutil.copy(GOLDEN / "before_0_2" / "config.json", place),
        lambda place, draw: RunDirectory(place).read_config(),
    ),
    "keras": Kind(
        lambda place: shutil.copy(GOLDEN / "before_0_2" / "backbone.keras", place),
        lambda place, draw: load_network(place / "backbone.keras"),
    ),
    "torch": Kind(
        lambda place: shutil.copy(GOLDEN / "tiny_regnety_vissl.torch", place),
        lambda place, draw: convert(place / "tiny_regnety_vissl.torch"),
    ),
    "npy_features": Kind(_make_features("npy"), _read_features),
    "record_features": Kind(_make_features("tfrecord"), _read_features),
    "parquet_features": Kind(_make_features("parquet"), _read_features),
    "run": Kind(_make_run, _read_run),
}
#: Kinds that are made and read in a moment.
QUICK = tuple(name for name in KINDS if name not in ("keras", "torch", "run") and "features" not in name)

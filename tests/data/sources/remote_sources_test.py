"""Every kind of source behind a URL, and several tar files as one source."""

import io
import json
import pathlib
import tarfile
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.shards.prepare import write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources import registry
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.parallel import LocalRunner
from tests.files.remote_test import _Server, served

_ROOT = "memory://remote_sources_test"


def _png(number: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (6, 5), (number, 0, 0)).save(encoded, "PNG")
    return encoded.getvalue()


def _tar(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_a_list_and_a_table_by_url_name_files_beside_them_and_urls(tmp_path: pathlib.Path) -> None:
    for number in range(3):
        storage.write(f"{_ROOT}/lists/{number}.png", _png(number))
    far = f"{_ROOT}/lists/2.png"
    storage.write(f"{_ROOT}/lists/list.txt", f"0.png\n1.png\n{far}\n".encode())
    (tmp_path / "list.txt").write_text(f"{far}\n")
    source = registry.open_source(f"list:{_ROOT}/lists/list.txt")
    assert source.ids == ["0.png", "1.png", far] and [source.read(n) for n in range(3)] == [_png(n) for n in range(3)]
    assert registry.open_source(f"list:{tmp_path / 'list.txt'}").read(0) == _png(2)
    storage.write(f"{_ROOT}/lists/table.csv", f"file,kind,breed\n0.png,cat,a\n{far},dog,b\n".encode())
    labelled = registry.open_source(f"csv:{_ROOT}/lists/table.csv?label_column=kind")
    assert labelled.class_names == ("cat", "dog") and labelled.labels is not None and labelled.read(1) == _png(2)


def test_shards_by_url_of_a_server(tmp_path: pathlib.Path) -> None:
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "b").mkdir()
    for number, name in enumerate(("a/0.png", "b/1.png", "b/2.png")):
        (tmp_path / "images" / name).write_bytes(_png(40 * number))
    local = registry.open_source(f"folder:{tmp_path / 'images'}")
    write_shards(local, str(tmp_path / "shards"), ShardOptions(), run=LocalRunner(1), shard_bytes=1 << 20)
    with served(tmp_path, _Server) as url:
        registry.check_source(f"shards:{url}/shards")
        source = registry.open_source(f"shards:{url}/shards")
        names = list(source.ids)
        assert sorted(names) == local.ids and source.class_names == ("a", "b")
        assert [source.read(n) for n in range(3)] == [local.read(list(local.ids).index(name)) for name in names]
        with pytest.raises(InputError, match=r"no manifest.json; give a directory of shards"):
            registry.check_source(f"shards:{url}/images")
        table = tmp_path / "table.csv"
        table.write_text("file,kind\nimages/a/0.png,cat\nimages/b/1.png,dog\n")
        assert registry.open_source(f"csv:{url}/table.csv?label_column=kind").read(1) == _png(40)
        (tmp_path / "images.tar").write_bytes(_tar({"a/0.png": _png(0), "b/1.png": _png(1)}))
        assert registry.open_source(f"tar:{url}/images.tar").read(1) == _png(1)


@pytest.mark.parametrize("pattern", ["{000..002}.tar", "*.tar", "00{0,1,2}.tar", "00[0-2].tar"])
@pytest.mark.parametrize("is_far", [False, True])
def test_tar_files_by_a_pattern(tmp_path: pathlib.Path, pattern: str, is_far: bool) -> None:
    root = f"{_ROOT}/{tmp_path.name}" if is_far else str(tmp_path)
    for number in range(3):
        storage.write(f"{root}/00{number}.tar", _tar({"0.png": _png(number), "1.png": _png(number + 10)}))
    source = registry.open_source(f"tar:{root}/{pattern}")
    assert source.ids == [f"00{number}.tar/{name}.png" for number in range(3) for name in range(2)]
    assert [source.read(n) for n in range(6)] == [_png(n) for n in (0, 10, 1, 11, 2, 12)]
    assert source.class_names is None and source.labels is None
    registry.check_source(f"tar:{root}/{pattern}")


def test_a_pattern_without_files_and_a_missing_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="no file matches this pattern"):
        registry.check_source(f"tar:{tmp_path}/*.tar")
    (tmp_path / "0.tar").write_bytes(_tar({"0.png": _png(0)}))
    with pytest.raises(InputError, match=r"1.tar: the file cannot be read .No such file"):
        registry.open_source(f"tar:{tmp_path}/{{0..1}}.tar")


def test_folders_are_classes_over_several_tar_files(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    (tmp_path / "x" / "0.tar").write_bytes(_tar({"cat/0.png": _png(0)}))
    (tmp_path / "y" / "0.tar").write_bytes(_tar({"dog/0.png": _png(1), "cat/1.png": _png(2)}))
    source = registry.open_source(f"tar:{tmp_path}/{{x,y}}/0.tar")
    assert source.ids == ["x/0.tar/cat/0.png", "y/0.tar/cat/1.png", "y/0.tar/dog/0.png"]
    assert source.class_names == ("cat", "dog") and source.labels is not None
    assert source.labels.tolist() == [0, 0, 1]


def test_labels_of_webdataset(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    first = {"a/0.png": _png(0), "a/0.cls": b"10\n", "a/1.png": _png(1), "a/1.cls": b"9", "a/1.json": b'{"label": 3}'}
    second = {
        "2.png": _png(2),
        "2.json": json.dumps({"label": [9, 10], "caption": "x"}).encode(),
        "2.txt": b"a caption",
        "3.png": _png(3),
        "3.json": b'{"caption": "no label"}',
        "about.json": b"[]",
    }
    for number, members in enumerate((first, second)):
        (tmp_path / f"{number}.tar").write_bytes(_tar(members))
    source = registry.open_source(f"tar:{tmp_path}/{{0..1}}.tar")
    assert source.class_names == ("9", "10") and source.labels is None  # numeric names are sorted as numbers
    assert [source.classes_of(number) for number in range(4)] == [(1,), (0,), (0, 1), ()]
    assert [name for name, _ in source.rejected] == ["1.tar/about.json"] and "1 image without a label" in caplog.text
    alone = registry.open_source(f"tar:{tmp_path}/0.tar")
    assert alone.labels is not None and np.array_equal(alone.labels, [1, 0])


def test_a_label_that_is_no_text_is_named(tmp_path: pathlib.Path) -> None:
    for content in (b"{", b"\xff"):
        (tmp_path / "0.tar").write_bytes(_tar({"0.png": _png(0), "0.json": content}))
        with pytest.raises(InputError, match=r"0.tar: 0.json is not text or JSON in UTF-8"):
            registry.open_source(f"tar:{tmp_path}/0.tar")

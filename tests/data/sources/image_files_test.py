"""Images in files, or in members of a tar file: `tar:`, `list:`, `csv:`, and folders behind a URL."""

import gzip
import io
import os
import pathlib
import pickle
import struct
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources import image_files, registry
from seer_tf.errors import InputError
from seer_tf.files import storage


def _encoded(number: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (6, 5), (number, 0, 0)).save(encoded, "PNG")
    return encoded.getvalue()


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(["a/1.png", "a/2.png", "b/3.png", "b/4.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(_encoded(number))
    (tmp_path / "b" / "notes.txt").write_text("hello")
    return tmp_path


def _tar(folder):
    with tarfile.open(folder / "images.tar", "w", format=tarfile.GNU_FORMAT) as archive:  # one header for each member
        for name in ("./a", "b"):
            archive.add(folder / name, arcname=name)
    return f"tar:{folder / 'images.tar'}"


def test_a_tar_file_is_read_in_place(folder, caplog):
    source = registry.open_source(_tar(folder))
    assert source.ids == ["a/1.png", "a/2.png", "b/3.png", "b/4.png"]
    assert [source.read(index) for index in range(4)] == [_encoded(number) for number in range(4)]
    assert source.class_names == ("a", "b") and source.labels is not None
    assert source.labels.tolist() == [0, 0, 1, 1]
    assert source.rejected == [("b/notes.txt", "not an image")] and "1 of 5 files left out" in caplog.text
    assert pickle.loads(pickle.dumps(source)).read(3) == _encoded(3)


def test_a_tar_file_that_shrinks_or_vanishes_is_named(folder):
    source = registry.open_source(_tar(folder))
    content = (folder / "images.tar").read_bytes()
    (folder / "images.tar").write_bytes(content[: content.index(b"b/4.png")])
    with pytest.raises(UnusableImageError, match="the tar file ends early"):
        source.read(3)
    (folder / "images.tar").unlink()
    with pytest.raises(InputError, match="images.tar: the file cannot be read"):
        source.read(0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "no such file"), (b"hello", "not a tar file"), (gzip.compress(bytes(10_240), mtime=0), "compressed")],
)
def test_a_file_that_is_no_plain_tar_file_gets_one_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        registry.open_source(f"tar:{tmp_path / 'x.tar'}")


def test_an_empty_tar_file(tmp_path):
    (tmp_path / "images.tar").write_bytes(bytes(10_240))
    with pytest.raises(InputError, match="no file in it"):
        registry.open_source(f"tar:{tmp_path / 'images.tar'}")


@pytest.mark.parametrize("how", ["at a header", "in a header", "in data", "before its end", "broken header", "joined"])
def test_a_tar_file_that_lost_members_is_refused(folder, how):
    flag = _tar(folder)
    content = (folder / "images.tar").read_bytes()
    place = content.index(b"./a/2.png")  # the start of the second image's header
    changed = {
        "at a header": content[:place],
        "in a header": content[: place + 100],
        "in data": content[: place + 512 + 10],
        "before its end": content.rstrip(b"\0"),
        "broken header": content[: place + 3] + b"x" + content[place + 4 :],
        "joined": content + content,
    }[how]
    (folder / "images.tar").write_bytes(changed)
    with pytest.raises(InputError, match=r"images.tar: .*broken"):
        registry.open_source(flag)


def test_links_in_a_tar_file_are_followed_or_named(folder):
    os.link(folder / "a" / "1.png", folder / "b" / "hard.png")
    (folder / "a" / "soft.png").symlink_to("../b/soft.png")
    (folder / "b" / "soft.png").symlink_to("3.png")
    (folder / "b" / "round.png").symlink_to("round.png")
    (folder / "b" / "outside.png").symlink_to("/etc/hostname")
    os.mkfifo(folder / "b" / "pipe.png")
    source = registry.open_source(_tar(folder))
    assert source.ids == ["a/1.png", "a/2.png", "a/soft.png", "b/3.png", "b/4.png", "b/hard.png", "b/soft.png"]
    assert [source.read(index) for index in (2, 5, 6)] == [_encoded(number) for number in (2, 0, 2)]
    reason = "cannot be read: not a regular file, and no link to one in the tar file"
    assert source.rejected == [
        ("b/notes.txt", "not an image"),
        *((f"b/{name}.png", reason) for name in ("outside", "pipe", "round")),
    ]


def test_a_file_given_to_tar_twice_is_one_image(folder):
    with tarfile.open(folder / "images.tar", "w") as archive:
        for _ in range(2):  # the second time as a link to itself, as GNU tar writes it
            member = archive.gettarinfo(folder / "a" / "1.png", "1.png")
            if archive.getmembers():
                member.type, member.linkname, member.size = tarfile.LNKTYPE, "1.png", 0
            archive.addfile(member, io.BytesIO(_encoded(0)))
    source = registry.open_source(f"tar:{folder / 'images.tar'}")
    assert source.ids == ["1.png"] and source.read(0) == _encoded(0) and source.rejected == []


def test_only_names_that_begin_with_a_dot_are_hidden_in_a_tar_file(folder):
    names = ["../x.png", "././z.png", "a//y.png", "./.git/1.png", "b/.hidden.png", "../.2.png"]
    with tarfile.open(folder / "images.tar", "w") as archive:
        for name in names:
            archive.add(folder / "a" / "1.png", arcname=name)
    assert registry.open_source(f"tar:{folder / 'images.tar'}").ids == ["../x.png", "a/y.png", "z.png"]


def test_a_tar_file_needs_little_memory_for_each_member(tmp_path):
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for index in range(5000):
            member = tarfile.TarInfo(f"{index:05}.png")
            # This time needs an additional header, as `tar` writes it.
            member.size, member.mtime = len(_encoded(1)), 0.5
            archive.addfile(member, io.BytesIO(_encoded(1)))
    tracemalloc.start()
    registry.open_source(f"tar:{tmp_path / 'images.tar'}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 600 * 5000


def test_a_list_names_its_images_in_its_order(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.png"
    elsewhere.write_bytes(_encoded(9))
    (folder / "list.txt").write_text(f"b/4.png\n\na/1.png\n{elsewhere}\nmissing.png\na/1.png\n")
    source = registry.open_source(f"list:{folder / 'list.txt'}")
    assert source.ids == ["b/4.png", "a/1.png", str(elsewhere)]
    assert [source.read(index) for index in range(3)] == [_encoded(number) for number in (3, 0, 9)]
    assert source.rejected == [("missing.png", "cannot be read: No such file or directory")]
    assert source.labels is None and source.class_names is None
    (folder / "b" / "4.png").unlink()
    with pytest.raises(UnusableImageError, match="cannot be read: No such file"):
        source.read(0)


def test_a_list_may_begin_with_a_byte_order_mark_and_is_no_utf_16(folder):
    (folder / "list.txt").write_text("a/1.png\n", "utf-8-sig")
    assert registry.open_source(f"list:{folder / 'list.txt'}").ids == ["a/1.png"]
    (folder / "list.txt").write_text("a/1.png\n", "utf-16")
    with pytest.raises(
        InputError, match=r"list.txt: this is not text in UTF-8 \(it contains a NUL byte\); save it as UTF-8"
    ):
        registry.open_source(f"list:{folder / 'list.txt'}")


def test_only_regular_files_are_images(folder):
    os.mkfifo(folder / "pipe.png")  # to open this file would block
    (folder / "list.txt").write_text("pipe.png\n/dev/zero\na\na/1.png\n")
    source = registry.open_source(f"list:{folder / 'list.txt'}")
    assert source.ids == ["a/1.png"]
    assert source.rejected == [
        ("pipe.png", "cannot be read: not a regular file"),
        ("/dev/zero", "cannot be read: not a regular file"),
        ("a", "cannot be read: Is a directory"),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "there is no such file"), ("\n\n", "is empty"), ("x\n", "no readable image")]
)
def test_a_list_without_images_gets_one_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "list.txt").write_text(content)
    with pytest.raises(InputError, match=f"list.txt: .*{sentence}"):
        registry.open_source(f"list:{tmp_path / 'list.txt'}")


def _csv(folder, text):
    (folder / "labels.csv").write_text(text, "utf-8-sig")
    return registry.open_source(f"csv:{folder / 'labels.csv'}")


def test_a_table_with_one_label_each(folder):
    source = _csv(folder, "file,kind\nb/3.png,dog\na/1.png,cat\nb/notes.txt,bird\na/2.png,dog\n")
    assert source.ids == ["b/3.png", "a/1.png", "a/2.png"]
    assert source.class_names == ("cat", "dog") and source.labels is not None
    assert source.labels.dtype == np.int64 and source.labels.tolist() == [1, 0, 1]
    assert [source.classes_of(index) for index in range(3)] == [(1,), (0,), (1,)]
    assert source.rejected == [("b/notes.txt", "not an image")]


def test_a_table_with_several_labels(folder):
    source = _csv(folder, 'file,one,more\na/1.png,cat,dog\na/2.png,"bird; cat",\nb/3.png,,\n')
    assert source.class_names == ("bird", "cat", "dog") and source.labels is None
    assert [source.classes_of(index) for index in range(3)] == [(1, 2), (0, 1), ()]


def test_a_table_may_have_a_column_of_absent_labels(folder):
    source = _csv(folder, "file,kind,absent\na/1.png,cat,dog;bird\na/2.png,dog,\nb/3.png,,cat\n")
    assert source.class_names == ("bird", "cat", "dog")
    assert [source.classes_of(index) for index in range(3)] == [(1,), (2,), ()]
    assert [source.absent_of(index) for index in range(3)] == [(0, 2), (), (1,)]
    assert _csv(folder, "file,kind\na/1.png,cat\n").absent_of(0) is None
    with pytest.raises(InputError, match="a/1.png both has and lacks cat"):
        _csv(folder, "file,kind,absent\na/1.png,cat,cat\n")


def test_a_column_may_have_no_name_or_the_name_of_a_folder_and_rows_may_be_empty(folder):
    for name in ("", "a"):
        source = _csv(folder, f"{name},kind\na/1.png,cat\n\na/2.png,dog\n,\n,,\n")
        assert source.ids == ["a/1.png", "a/2.png"] and source.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "needs a line of column names"),
        ("file,kind\n", "needs a line of column names"),
        ("file\na/1.png\n", "needs a line of column names"),
        ("a/1.png,cat\na/2.png,dog\n", "the first line names an image"),
        ("file,kind\na/1.png,cat\na/1.png,dog\n", "line 3 names a/1.png again"),
        ("file,kind\na/1.png,cat,dog\n", "line 2 has 3 cells instead of 2"),
        ("file,kind\na/1.png,\n", "has no labels"),
        ("file,kind\na/1\0.png,cat\n", "not CSV in UTF-8 .it contains a NUL byte"),
        ("file,kind\nb/notes.txt,cat\n", "no readable image among 1 file "),
    ],
)
def test_a_wrong_table_gets_one_sentence(folder, text, sentence):
    with pytest.raises(InputError, match=sentence):
        _csv(folder, text)


def test_a_table_that_is_missing_or_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        registry.open_source(f"csv:{tmp_path / 'labels.csv'}")
    (tmp_path / "labels.csv").write_bytes(b"file,kind\n\xff,x\n")
    with pytest.raises(InputError, match="not CSV in UTF-8"):
        registry.open_source(f"csv:{tmp_path / 'labels.csv'}")


def test_a_folder_by_url():
    """The test uses the memory file system of this process in place of a remote file system."""
    root = "memory://files_test"
    for name in ("a/1.png", "a/2.png", "b/3.png", "b/4.png", ".hidden/5.png"):
        storage.write(f"{root}/{name}", _encoded(int(name[-5])))
    source = registry.open_source(f"folder:{root}")
    assert source.ids == ["a/1.png", "a/2.png", "b/3.png", "b/4.png"]
    assert source.class_names == ("a", "b") and source.read(2) == _encoded(3)
    storage.remove(f"{root}/b/3.png")
    with pytest.raises(UnusableImageError, match="cannot be read"):
        source.read(2)


@pytest.mark.parametrize("magic", [b"II*\x00", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_a_huge_file_that_is_no_image_is_not_read_whole(folder, magic):
    with (folder / "huge").open("wb") as file:
        file.write(magic)
        file.truncate(1 << 28)
    tracemalloc.start()
    source = registry.open_source(f"folder:{folder}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "huge" in dict(source.rejected) and peak < 1 << 27


def _asked(path):
    """Returns the sizes of all reads before a file is accepted or rejected."""
    asked = []

    def read(name, num_bytes):
        asked.append(num_bytes)
        return storage.read(name, num_bytes=num_bytes)

    image_files.find_usable("folder:x", [str(path)], read)
    return asked


def test_only_the_start_of_a_file_is_read_until_the_size_is_known(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert _asked(tmp_path / "noise.png") == [1 << 14]
    for num_bytes, times in ((10_000, 1), (200_000, 2), (5_000_000, 4)):
        Image.new("RGB", (6, 5)).save(tmp_path / "a.jpg", icc_profile=bytes(num_bytes))
        assert _asked(tmp_path / "a.jpg") == [1 << 14, 1 << 18, 1 << 22, 1 << 26][:times]


def test_the_size_of_a_jpeg_xl_may_lie_behind_much_metadata(tmp_path):
    box = struct.pack(">I4s", 8 + 100_000, b"Exif") + bytes(100_000)
    codestream = struct.pack(">I4s", 8 + 4, b"jxlc") + b"\xff\x0a" + bytes([0b0100_0001, 0b1])  # 8 x 8 px
    (tmp_path / "a.jxl").write_bytes(b"\x00\x00\x00\x0cJXL \r\n\x87\n" + box + codestream + bytes(100))
    assert _asked(tmp_path / "a.jxl") == [1 << 14, 1 << 18]


def test_memory_does_not_hold_a_future_for_each_name(tmp_path):
    (tmp_path / "1.png").write_bytes(_encoded(1))
    names = [str(tmp_path / "1.png")] * 20_000
    tracemalloc.start()
    image_files.find_usable("folder:x", names, lambda name, num_bytes: storage.read(name, num_bytes=num_bytes))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500 * len(names)


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_a_tar_file_with_a_long_header_or_many_is_refused_at_once(kind: bytes, tmp_path: pathlib.Path) -> None:
    """A header that says that a name of 30 GB follows, in a file that has them, and 5,000 headers in a row."""
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 30_000_000_000
    path = tmp_path / "images.tar"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    with path.open("r+b") as file:
        file.truncate(30_000_002_048)
    with pytest.raises(InputError, match="compressed or broken"):
        registry.open_source(f"tar:{path}")
    header.size = 0
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) * 5000 + bytes(1024))
    with pytest.raises(InputError):
        registry.open_source(f"tar:{path}")


def test_a_chain_of_links_has_a_limit(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as archive:
        content = _encoded(1)
        member = tarfile.TarInfo("0.png")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
        for number in range(49, 0, -1):
            link = tarfile.TarInfo(f"{number}.png")
            link.type, link.linkname = tarfile.SYMTYPE, f"{number - 1}.png"
            archive.addfile(link)
    assert len(registry.open_source(f"tar:{path}").ids) == 41

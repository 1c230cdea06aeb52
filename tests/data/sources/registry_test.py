"""The grammar of a data spec, folders, and the built-in set."""

import concurrent.futures
import os
import pathlib
import tarfile
import tempfile

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.sources import builtin, registry
from seer_tf.errors import InputError


def _save(path, color=(1, 2, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), color).save(path, "PNG")


@pytest.mark.parametrize(
    "flag", ["", "photos", "folder:", "shards", "tar:", "list:", "csv:", "builtin:other", "s3:bucket", "tfds:"]
)
def test_a_flag_outside_of_the_grammar_is_refused_with_the_grammar(flag):
    with pytest.raises(InputError, match=r"write folder:DIR\[@SPLIT\], tar:FILE, list:FILE, csv:FILE"):
        registry.open_source(flag)


def test_a_folder_holds_every_image_below_it_in_order_whatever_its_name(tmp_path):
    for name in ("b/two.dat", "a.png", "b/c/one", "ümlaut.jpg", ".hidden.png", ".git/x.png"):
        _save(tmp_path / name)
    source = registry.open_source(f"folder:{tmp_path}")
    assert list(source.ids) == ["a.png", "b/c/one", "b/two.dat", "ümlaut.jpg"]
    assert source.num_images == 4
    assert source.read(2) == (tmp_path / "b/two.dat").read_bytes()


def test_files_that_are_no_images_are_left_out_counted_and_named(tmp_path, caplog):
    _save(tmp_path / "good.png")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "nowhere.png").symlink_to("missing.png")
    os.mkfifo(tmp_path / "pipe.png")  # to open this file would block
    source = registry.open_source(f"folder:{tmp_path}")
    assert list(source.ids) == ["good.png"]
    assert list(source.rejected) == [
        ("empty.jpg", "empty file"),
        ("notes.txt", "not an image"),
        ("nowhere.png", "cannot be read: No such file or directory"),
        ("pipe.png", "cannot be read: not a regular file"),
    ]
    assert "4 of 5 files left out" in caplog.text
    assert "notes.txt: not an image" in caplog.text


def test_the_frame_header_of_a_jpeg_may_lie_behind_much_metadata(tmp_path):
    Image.new("RGB", (6, 5)).save(tmp_path / "a.jpg", icc_profile=bytes(500_000))
    assert registry.open_source(f"folder:{tmp_path}").num_images == 1


def test_links_are_followed_but_not_in_circles(tmp_path):
    _save(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder" / "sub" / "up").symlink_to(tmp_path / "folder")
    assert list(registry.open_source(f"folder:{tmp_path / 'folder'}").ids) == ["link/a.png"]


def test_the_first_link_by_name_to_a_folder_counts(tmp_path):
    """The links are created in several orders, because the file system lists names in its own order."""
    _save(tmp_path / "elsewhere" / "a.png")
    for number, links in enumerate(("bdac", "cabd", "dcba")):
        (tmp_path / str(number)).mkdir()
        for name in links:
            (tmp_path / str(number) / name).symlink_to(tmp_path / "elsewhere")
        assert list(registry.open_source(f"folder:{tmp_path / str(number)}").ids) == ["a/a.png"]


@pytest.fixture
def closed_folder():
    """A folder `closed/` without read permission, in a folder with read permission.

    Root may read everything, so root becomes another user for the test.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # pytest's own folder is for one user only
        os.chmod(directory, 0o755)
        closed = pathlib.Path(directory) / "closed"
        _save(pathlib.Path(directory) / "good.png")
        _save(closed / "a.png")
        closed.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield closed
        finally:
            os.seteuid(user)
            closed.chmod(0o700)


def test_a_folder_that_may_not_be_read_is_named(closed_folder, caplog):
    source = registry.open_source(f"folder:{closed_folder.parent}")
    assert list(source.ids) == ["good.png"]
    assert list(source.rejected) == [("closed", "cannot be read: Permission denied")]
    assert "1 of 2 files left out (closed: cannot be read" in caplog.text
    with pytest.raises(InputError, match=r"closed: the directory cannot be read \(Permission denied\)"):
        registry.open_source(f"folder:{closed_folder}")


def test_top_folders_are_classes(tmp_path):
    for name in ("cat/1.png", "dog/x/2.png", "cat/3.png", "dog/4.png"):
        _save(tmp_path / name)
    source = registry.open_source(f"folder:{tmp_path}")
    assert source.class_names == ("cat", "dog")
    assert source.labels is not None and source.labels.dtype == np.int64
    assert [("cat", "dog")[label] for label in source.labels] == [name.split("/")[0] for name in source.ids]


@pytest.mark.parametrize(
    "names", [("cat/1.png", "cat/2.png", "dog/1.png", "owl/1.png"), ("a/1.png", "b/1.png"), ("cat/1.png", "cat/2.png")]
)
def test_a_class_may_have_one_image_and_be_the_only_one(tmp_path, names, caplog):
    caplog.set_level("INFO")
    for name in names:
        _save(tmp_path / name)
    source = registry.open_source(f"folder:{tmp_path}")
    classes = sorted({name.split("/")[0] for name in names})
    assert source.class_names == tuple(classes) and source.labels is not None
    assert source.labels.tolist() == [classes.index(name.split("/")[0]) for name in names]
    assert f"{'1 class' if len(classes) == 1 else f'{len(classes)} classes'}: {', '.join(classes)}" in caplog.text


def test_known_classes_are_not_said_again(caplog):
    caplog.set_level("INFO")
    assert registry.open_source("builtin").class_names
    assert "classes" not in caplog.text


def test_an_image_beside_the_class_folders_is_unlabelled_and_counted(tmp_path, caplog):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "3.png"):
        _save(tmp_path / name)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path, arcname="", filter=lambda member: None if member.name.endswith("tar") else member)
    for spec in (f"folder:{tmp_path}", f"tar:{tmp_path / 'x.tar'}"):
        source = registry.open_source(spec)
        assert source.class_names == ("cat", "dog") and source.labels is None
        classes = {name: source.classes_of(number) for number, name in enumerate(source.ids)}
        assert classes == {"cat/1.png": (0,), "cat/2.png": (0,), "dog/1.png": (1,), "3.png": ()}
        assert f"{spec}: 1 image beside the class folders without a label, the first is 3.png" in caplog.text


def test_folders_of_systems_and_tools_are_skipped_at_any_depth_and_named(tmp_path, caplog):
    for name in (
        "cat/1.png",
        "dog/2.png",
        "@eaDir/3.png",
        "cat/@eaDir/x/4.png",
        "$Recycle.Bin/5.png",
        "dog/Thumbnails/6",
    ):
        _save(tmp_path / name)
    source = registry.open_source(f"folder:{tmp_path}")
    assert list(source.ids) == ["cat/1.png", "dog/2.png"] and source.class_names == ("cat", "dog")
    assert dict(source.rejected)["cat/@eaDir/x/4.png"] == "in a folder of a system or tool: cat/@eaDir"
    assert (
        len(source.rejected) == 4 and "4 files skipped in 4 folders of systems or tools ($Recycle.Bin, " in caplog.text
    )
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("cat", "@eaDir"):
            archive.add(tmp_path / name, arcname=name)
    assert registry.open_source(f"tar:{tmp_path / 'x.tar'}").ids == ["cat/1.png"]
    # A folder that the user names is read.
    assert registry.open_source(f"folder:{tmp_path / '@eaDir'}").ids == ["3.png"]
    with pytest.raises(InputError, match="only folders of systems and tools in it"):
        (tmp_path / "nothing").mkdir()
        (tmp_path / "@eaDir").rename(tmp_path / "nothing" / "@eaDir")
        registry.open_source(f"folder:{tmp_path / 'nothing'}")


def test_splits_are_not_classes_and_can_be_named(tmp_path, caplog):
    for name in ("train/cat/1.png", "train/dog/2.png", "Val/cat/3.png"):
        _save(tmp_path / name)
    source = registry.open_source(f"folder:{tmp_path}")
    assert source.num_images == 3 and source.class_names is None
    assert f"Val, train are splits and not classes; write folder:{tmp_path}@Val for one of them" in caplog.text
    for flag in (f"folder:{tmp_path}@train", f"{tmp_path}@train"):
        source = registry.open_source(flag)
        assert list(source.ids) == ["cat/1.png", "dog/2.png"] and source.class_names == ("cat", "dog")
        assert registry.absolute(flag) == f"folder:{tmp_path / 'train'}"
    with pytest.raises(InputError, match="there is no folder test in it; it has Val, train"):
        registry.open_source(f"folder:{tmp_path}@test")
    _save(tmp_path / "unsupervised" / "4.png")
    assert registry.open_source(f"folder:{tmp_path}").class_names is None
    _save(tmp_path / "a@b" / "cat" / "1.png")
    assert list(registry.open_source(f"folder:{tmp_path / 'a@b'}").ids) == ["cat/1.png"]


@pytest.mark.parametrize(
    ("names", "is_spread"),
    [
        (("00/00f3a94c.png", "a1/a1b2c3d4.png"), True),
        (("00000/000000001.png", "00012/000120345.png"), True),  # as img2dataset writes
        (("ab/cd/abcd0123.png", "0F/00/0f001234.png"), True),
        (("00/00f3a94c.png", "a1/b2c3d4e5.png"), False),
        (("00/00f3a9.png", "a1/a1b2c3.png"), False),  # short names
        (("1/10000001.png", "2/20000001.png"), False),  # digits are classes
        (("bee/bee00001.png", "fee/fee-0001.png"), False),
        (("00/00f3a94c.png", "00/00f3a94d.png"), False),  # one folder spreads nothing
        (("00/00f3a94c.png", "a1/a1b2c3d4.png", "a1b2c3d4.png"), False),
    ],
)
def test_folders_that_only_spread_files_are_not_classes(tmp_path, caplog, names, is_spread):
    for name in names:
        _save(tmp_path / name)
    assert (registry.open_source(f"folder:{tmp_path}").class_names is None) == is_spread
    assert ("the folders spread the files and are not classes" in caplog.text) == is_spread


def test_the_only_top_folder_is_a_class_and_those_below_are_named(tmp_path, caplog):
    for name in ("images/cat/1.png", "images/dog/2.png"):
        _save(tmp_path / name)
    assert registry.open_source(f"folder:{tmp_path}").class_names == ("images",)
    assert f"images is the only class; name folder:{tmp_path}/images for the classes cat, dog" in caplog.text


def test_a_class_folder_that_is_a_link_to_another_is_named_and_counts_once(tmp_path, caplog):
    """The folder itself counts. A link to the folder does not count, even if the link comes first by name."""
    _save(tmp_path / "cat" / "1.png")
    _save(tmp_path / "ant" / "2.png")
    (tmp_path / "aaa").symlink_to(tmp_path / "cat")
    (tmp_path / "ant" / "same").symlink_to("../cat")
    assert list(registry.open_source(f"folder:{tmp_path}").ids) == ["ant/2.png", "cat/1.png"]
    for link in ("aaa", "ant/same"):
        assert f"{tmp_path}/{link} leads to {tmp_path}/cat; its files count once" in caplog.text


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("folder:{place}/nowhere", "folder:{place}/nowhere: there is no such directory"),
        ("shards:{place}/nowhere", "there is no such directory"),
        ("list:{place}/nowhere.txt", "there is no such file"),
        ("csv:{place}/nowhere.csv", "there is no such file"),
        ("tar:{place}/nowhere.tar", "there is no such file"),
        ("folder:{place}/images.tar", "{place}/images.tar is a file; did you mean tar:{place}/images.tar"),
        ("shards:{place}/table.csv", "{place}/table.csv is a file; did you mean csv:{place}/table.csv"),
        ("list:{place}/images", "{place}/images is a directory; did you mean folder:{place}/images"),
        ("tar:{place}/shards", "{place}/shards is a directory; did you mean shards:{place}/shards"),
        (
            "folder:{place}/images/a.png",
            "a.png is a file, .*put tar:, .* or name the directory .*, folder:{place}/images",
        ),
        ("{place}/images/a.png", "a.png is a file, and its name does not say of which kind"),
        ("fodler:{place}/images", "did you mean folder:{place}/images"),
        ("{place}/nowhere", "there is no such file or directory: write folder:DIR"),
    ],
)
def test_a_missing_path_or_another_kind_of_file_gets_one_sentence(place, flag, sentence):
    for look in (registry.check_source, registry.open_source):
        with pytest.raises(InputError, match=sentence.format(place=place)):
            look(flag.format(place=place))


@pytest.fixture
def place(tmp_path):
    """A place with data for each kind of source. The shards are only file names."""
    _save(tmp_path / "images" / "a.png")
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        archive.add(tmp_path / "images" / "a.png", "a.png")
    (tmp_path / "list.txt").write_text("images/a.png\n")
    (tmp_path / "table.csv").write_text("path,label\nimages/a.png,red\n")
    (tmp_path / "shards").mkdir()
    for name in ("manifest.json", "index.npy"):
        (tmp_path / "shards" / name).write_text("")
    return tmp_path


def test_a_path_without_a_kind_gets_the_kind_from_its_looks(place, monkeypatch):
    monkeypatch.chdir(place)
    for path, kind in (("images", "folder"), ("images.tar", "tar"), ("list.txt", "list"), ("table.csv", "csv")):
        for flag in (path, f"./{path}", str(place / path), f"{kind}:{path}"):
            registry.check_source(flag)
            assert registry.open_source(flag).num_images == 1
            assert registry.absolute(flag) == f"{kind}:{place / path}"
    assert registry.absolute("shards/") == f"shards:{place / 'shards'}"


@pytest.mark.parametrize(
    ("flag", "absolute"),
    [
        ("builtin", "builtin"),
        ("builtin:test", "builtin:test"),
        ("tfds:cifar10@train", "tfds:cifar10@train"),
        ("folder:gs://bucket/images", "folder:gs://bucket/images"),
        ("folder:/a/../b", "folder:/b"),
        ("photos", "photos"),
    ],
)
def test_a_flag_without_a_relative_path_stays_as_it_is(flag, absolute):
    assert registry.absolute(flag) == absolute


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="holds no file"):
        registry.open_source(f"folder:{tmp_path}")


def test_a_folder_without_one_readable_image(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(InputError, match=r"no readable image among 1 file \(a.jpg: not an image\)"):
        registry.open_source(f"folder:{tmp_path}")


def test_the_builtin_set_reads_the_rendered_images():
    for flag, split in [("builtin", "train"), ("builtin:train", "train"), ("builtin:test", "test")]:
        source = registry.open_source(flag)
        assert source.num_images == len(source.ids) == builtin.num_images(split)
        assert source.class_names == tuple(builtin.class_names)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            images = list(pool.map(source.read, [5, 5, 0, 5]))
        assert images == [builtin.render_image(split, index)[0] for index in (5, 5, 0, 5)]


def test_the_labels_of_the_builtin_set(monkeypatch):
    monkeypatch.setattr(builtin, "num_images", lambda split: 7)
    labels = registry.open_source("builtin:test").labels
    assert labels is not None
    assert labels.tolist() == [builtin.render_image("test", index)[1] for index in range(7)]

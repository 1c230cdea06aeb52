"""Boxes in the layouts of COCO and Pascal VOC: the images, the boxes that are left out, and the error messages."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.boxes.annotated import WITHOUT_AREA
from seer_tf.data.pipelines.detection import BoxedImages, describe_remarks, open_boxes
from seer_tf.errors import InputError
from tests.real_images import REAL_IMAGES, needs_real_images

Boxes = dict[str, list[tuple[str, tuple[float, ...]]]]

_BOXES: Boxes = {
    "a.jpg": [("dog", (5, 6, 20, 30)), ("cat", (0, 0, 40, 50))],
    "b.jpg": [],
    "c.jpg": [("cat", (1, 2, 3, 4))],
}


#: A mask of 40 x 50 px from 5, 6 to 20, 30.
_RUNS = {"size": [50, 40], "counts": [256, *([24, 26] * 14), 24, 1020]}


def _write_images(directory: Path, orientation: int = 1) -> None:
    directory.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in _BOXES:
        Image.new("RGB", (40, 50) if orientation < 5 else (50, 40)).save(directory / name, exif=exif)


def _write_coco(
    directory: Path, boxes: Boxes = _BOXES, *, split: str = "train", orientation: int = 1, **changes: Any
) -> Path:
    _write_images(directory / split, orientation)
    names = ["dog", "cat"]
    annotations = [
        {
            "image_id": 10 + number,
            "category_id": 7 + names.index(name),
            "bbox": [left, top, right - left, bottom - top],
        }
        for number, things in enumerate(boxes.values())
        for name, (left, top, right, bottom) in things
    ]
    content = {
        "categories": [{"id": 7 + number, "name": name} for number, name in enumerate(names)],
        "images": [{"id": 10 + n, "file_name": name, "width": 40, "height": 50} for n, name in enumerate(boxes)],
        "annotations": annotations,
    }
    (directory / "annotations").mkdir(exist_ok=True)
    (directory / "annotations" / f"instances_{split}.json").write_text(json.dumps({**content, **changes}))
    return directory


def _write_voc(directory: Path, boxes: Boxes = _BOXES) -> Path:
    _write_images(directory / "JPEGImages")
    (directory / "ImageSets" / "Main").mkdir(parents=True)
    (directory / "Annotations").mkdir()
    (directory / "ImageSets" / "Main" / "train.txt").write_text("".join(f"{name[0]}\n" for name in boxes))
    for image, things in boxes.items():
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object>"
            for name, (left, top, right, bottom) in things
        )
        size = "<size><width>40</width><height>50</height></size>"
        (directory / "Annotations" / f"{image[0]}.xml").write_text(f"<annotation>{size}{objects}</annotation>")
    return directory


def _num_boxes(images: BoxedImages) -> int:
    return sum(len(image.boxes) for image in images.images)


def _as_text(images: BoxedImages) -> dict[str, list[tuple[str, list[float]]]]:
    return {
        image.file.name: [
            (images.class_names[label], box.tolist()) for label, box in zip(image.labels, image.boxes, strict=True)
        ]
        for image in images.images
    }


@pytest.mark.parametrize("write", [_write_coco, _write_voc])
def test_both_layouts_give_the_same(write, tmp_path):
    """Classes are sorted by name. An image without boxes counts."""
    images = open_boxes(write(tmp_path), "train")
    assert images.class_names == ("cat", "dog") and _num_boxes(images) == 3 and not images.remarks
    expected = {
        name: [(label, [float(side) for side in box]) for label, box in things] for name, things in _BOXES.items()
    }
    assert _as_text(images) == expected
    assert all((image.width_px, image.height_px, image.orientation) == (40, 50, 1) for image in images.images)
    assert images.images[1].boxes.shape == (0, 4)


def test_an_image_turned_by_its_camera_is_measured_upright(tmp_path):
    """The annotation refers to the upright image."""
    images = open_boxes(_write_coco(tmp_path, orientation=6), "train")
    assert {(image.width_px, image.height_px, image.orientation) for image in images.images} == {(40, 50, 6)}


def test_the_orientation_is_read_where_the_metadata_are_long(tmp_path):
    """The size lies in the first part of the file that is read, but the orientation needs more of the file."""
    file = _write_coco(tmp_path, orientation=6) / "train" / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (50, 40)).save(file, exif=exif, icc_profile=bytes(15_900))
    content = file.read_bytes()
    assert content.index(b"\xff\xc0") + 20 < 1 << 14 < content.index(b"\xff\xda")
    assert open_boxes(tmp_path, "train").images[0].orientation == 6


@pytest.mark.parametrize("write", [_write_coco, _write_voc])
def test_boxes_without_area_are_named_and_left_out(write, tmp_path):
    """One box has width zero, and another box has a negative height."""
    things = [("dog", (5, 6, 5, 30)), ("cat", (0, 0, 9, 9)), ("dog", (3, 9, 8, 7))]
    images = open_boxes(write(tmp_path, {**_BOXES, "b.jpg": things}), "train")
    assert _as_text(images)["b.jpg"] == [("cat", [0.0, 0.0, 9.0, 9.0])]
    (sentence,) = describe_remarks([images])
    assert sentence.startswith("left out, 2 boxes without area: b.jpg: dog from 5, 6 to 5, 30")
    assert describe_remarks([open_boxes(_write_coco(tmp_path / "whole"), "train")]) == []


def test_a_box_beyond_its_image_is_cut_or_left_out_and_counted(tmp_path):
    """A box that reaches one pixel beyond the image is a rounding error, so the log does not name it."""
    images = open_boxes(_write_coco(tmp_path / "near", {**_BOXES, "b.jpg": [("cat", (-1, 0, 41, 20))]}), "train")
    assert _as_text(images)["b.jpg"] == [("cat", [0.0, 0.0, 40.0, 20.0])]
    assert images.remarks == {}
    for box, left in (
        ((-2, 0, 9, 9), [0, 0, 9, 9]),
        ((0, 0, 42.5, 9), [0, 0, 40, 9]),
        ((0, 0, 9, 60), [0, 0, 9, 50]),
        ((50, 60, 55, 65), None),
    ):
        images = open_boxes(_write_coco(tmp_path / str(box), {**_BOXES, "b.jpg": [("cat", box)]}), "train")
        assert _as_text(images)["b.jpg"] == ([] if left is None else [("cat", left)])
        (sentence,) = describe_remarks([images])
        start = "left out, 1 box outside of the image" if left is None else "cut at the edge, 1 box that reached beyond"
        assert sentence.startswith(start) and "b.jpg: cat from " in sentence


def test_a_box_without_area_after_the_cut_is_left_out(tmp_path):
    """A box that lies only in the pixel beyond the edge has no area after the cut."""
    images = open_boxes(_write_coco(tmp_path, {**_BOXES, "b.jpg": [("cat", (40, 0, 41, 20))]}), "train")
    assert images.remarks == {WITHOUT_AREA: ["b.jpg: cat from 40, 0 to 41, 20"]} and not images.images[1].boxes.size


def _with_ids(tmp_path: Path, changes: dict[str, list[Any]]) -> Path:
    """Writes COCO's layout with annotation ids from 1, and replaces some keys in the lists."""
    directory = _write_coco(tmp_path)
    file = directory / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    for number, annotation in enumerate(content["annotations"], start=1):
        annotation["id"] = number
    for place, values in changes.items():
        kind, key = place.split(".")
        for one, value in zip(content[kind], values, strict=False):
            one[key] = value
            if value is ...:
                del one[key]
    file.write_text(json.dumps(content))
    return directory


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images.id": [10, 10]}, "images have the id 10 twice, a.jpg and b.jpg"),
        ({"images.file_name": ["a.jpg", "a.jpg"]}, "a.jpg is image 10 and image 11; list each file once"),
        ({"categories.id": [7, 7]}, "categories have the id 7 twice, dog and cat"),
        ({"images.id": [...]}, r"images\[0\] has no `id`"),
        ({"categories.name": [None]}, r"categories\[0\] has no `name`"),
        (
            {"annotations.image_id": [1, 2, 3]},
            "has no boxes; left out, 3 boxes of no image that is listed: annotation 1 na",
        ),
    ],
)
def test_ids_that_do_not_match_are_refused_by_name(tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        open_boxes(_with_ids(tmp_path, changes), "train")


@pytest.mark.parametrize(
    ("changes", "num_boxes", "sentence"),
    [
        ({"annotations.image_id": ["10", "10.0", 12.0], "images.id": [10, 11, "12"]}, 2, "names image '10.0'"),
        ({"annotations.image_id": [10, 99]}, 2, "1 box of no image that is listed: annotation 2 names image 99"),
        ({"annotations.category_id": [..., 9]}, 1, "2 boxes of no category that is listed: annotation 1 names"),
        ({"annotations.bbox": [None, [1, 2], ...]}, 0, None),
        ({"annotations.bbox": [None, [0, 0, "x", 3]]}, 1, "2 boxes without four numbers: annotation 1 has the box"),
        ({"annotations.bbox": [[], [0, 0, float("nan"), 3]]}, 1, "left out, 2 boxes without four numbers"),
        (
            {"annotations.bbox": [...], "annotations.segmentation": [[[5, 6, 20, 6], [9, 30, 7, 8]]]},
            3,
            "taken from the mask, 1 box without four numbers: annotation 1 has the box None",
        ),
        (
            {"annotations.bbox": [[]], "annotations.segmentation": [_RUNS]},
            3,
            "taken from the mask, 1 box without four numbers: annotation 1 has the box []",
        ),
    ],
)
def test_boxes_that_cannot_be_used_are_named_by_annotation(tmp_path, changes, num_boxes, sentence):
    directory = _with_ids(tmp_path, changes)
    if sentence is None:
        with pytest.raises(InputError, match="has no boxes; left out, 3 boxes without four numbers"):
            open_boxes(directory, "train")
        return
    images = open_boxes(directory, "train")
    assert _num_boxes(images) == num_boxes and sentence in "; ".join(describe_remarks([images]))
    if "segmentation" in str(changes):
        assert _as_text(images)["a.jpg"][0] == ("dog", [5.0, 6.0, 20.0, 30.0])


def test_fractions_of_the_image_are_recognised(tmp_path):
    images = open_boxes(
        _write_coco(tmp_path, {"a.jpg": [("dog", (0, 0.5, 0.25, 1))], "b.jpg": [], "c.jpg": []}), "train"
    )
    assert _as_text(images)["a.jpg"] == [("dog", [0.0, 25.0, 10.0, 50.0])]
    assert describe_remarks([images])[0].startswith("multiplied by the size of the image, 1 box in fractions of it")


def test_fractions_among_pixels_are_named(tmp_path):
    directory = _with_ids(tmp_path, {"annotations.bbox": [[0.1, 0.2, 0.5, 0.25]]})
    (remark,) = describe_remarks([open_boxes(directory, "train")])
    assert remark.startswith(
        "kept, 1 box in the first pixel of the image, perhaps in fractions of it: annotation 1, a.jpg"
    )


def test_sizes_may_be_missing_and_images_may_be_in_another_folder(tmp_path):
    directory = _with_ids(tmp_path / "coco", {"images.width": [..., 0, None]})
    (directory / "train").rename(directory / "images")
    assert {(image.width_px, image.height_px) for image in open_boxes(directory, "train").images} == {(40, 50)}
    voc = _write_voc(tmp_path / "voc")
    file = voc / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("<width>40</width>", ""))
    assert open_boxes(voc, "train").images[0].width_px == 40


def test_pascal_voc_names_its_images_with_any_suffix(tmp_path):
    """The annotation's file name is used first, then its own name. A name that several images have is refused."""
    voc = _write_voc(tmp_path)
    Image.new("RGB", (40, 50)).save(voc / "JPEGImages" / "stated.png")
    (voc / "JPEGImages" / "b.jpg").rename(voc / "JPEGImages" / "b.JPEG")
    for name, stated in (("a", "stated.png"), ("b", "nowhere.jpg"), ("c", "nowhere.jpg")):
        file = voc / "Annotations" / f"{name}.xml"
        file.write_text(file.read_text().replace("<size>", f"<filename>{stated}</filename><size>"))
    assert [image.file.name for image in open_boxes(voc, "train").images] == ["b.JPEG", "c.jpg", "stated.png"]
    Image.new("RGB", (40, 50)).save(voc / "JPEGImages" / "c.png")
    with pytest.raises(InputError, match=r"c.xml could be of c.jpg or c.png; state one"):
        open_boxes(voc, "train")


@pytest.mark.parametrize("path", ["C:\\\\photos\\\\{}", "/home/me/photos/{}", "train\\\\{}"])
def test_images_are_found_without_the_folders_of_another_machine(tmp_path, path):
    directory = _write_coco(tmp_path / "coco")
    file = directory / "annotations" / "instances_train.json"
    for name in _BOXES:
        file.write_text(file.read_text().replace(f'"{name}"', f'"{path.format(name)}"'))
    assert _as_text(open_boxes(directory, "train")) == _as_text(open_boxes(_write_coco(tmp_path / "same"), "train"))
    directory = _write_voc(tmp_path / "voc")
    for number, name in enumerate(_BOXES):
        (directory / "JPEGImages" / name).rename(directory / "JPEGImages" / f"photo {number}.jpg")
        stated = path.replace("\\\\", "\\").format(f"photo {number}.jpg")
        annotation = directory / "Annotations" / f"{name[0]}.xml"
        annotation.write_text(annotation.read_text().replace("<size>", f"<filename>{stated}</filename><size>"))
    assert [image.file.name for image in open_boxes(directory, "train").images] == [f"photo {n}.jpg" for n in range(3)]


def test_coco_may_name_images_without_their_suffix(tmp_path):
    directory = _write_coco(tmp_path / "coco")
    file = directory / "annotations" / "instances_train.json"
    file.write_text(file.read_text().replace('.jpg"', '"'))
    assert _as_text(open_boxes(directory, "train")) == _as_text(open_boxes(_write_coco(tmp_path / "same"), "train"))


def test_an_image_without_a_file_is_left_out_and_named_by_its_id(tmp_path, caplog):
    directory = _write_coco(tmp_path)
    (directory / "train" / "b.jpg").unlink()
    images = open_boxes(directory, "train")
    assert [image.file.name for image in images.images] == ["a.jpg", "c.jpg"]
    named = "image 11, b.jpg: is annotated and cannot be read: No such file or directory"
    assert f"1 of 3 images left out ({named})" in caplog.text
    for name in ("a.jpg", "c.jpg"):
        (directory / "train" / name).unlink()
    with pytest.raises(InputError, match="none of 3 images can be used .image 10, a.jpg: is annotated and cannot"):
        open_boxes(directory, "train")


def test_files_of_one_name_in_two_folders_are_not_taken_for_each_other(tmp_path, caplog):
    directory = _write_coco(tmp_path)
    file = directory / "annotations" / "instances_train.json"
    file.write_text(file.read_text().replace('"a.jpg"', '"x/b.jpg"'))
    assert [image.file.parent.name for image in open_boxes(directory, "train").images] == ["train", "train"]
    assert "image 10, b.jpg: is annotated and cannot be read" in caplog.text


def test_an_object_of_pascal_voc_without_a_box_is_named(tmp_path):
    voc = _write_voc(tmp_path)
    file = voc / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("<xmin>5</xmin>", ""))
    images = open_boxes(voc, "train")
    assert (
        _num_boxes(images) == 2 and "1 box without four numbers: a.xml: object 1, dog" in describe_remarks([images])[0]
    )


def test_data_that_cannot_be_used_is_refused(tmp_path):
    """Each error is one sentence."""
    whole = _write_coco(tmp_path / "whole")
    with pytest.raises(InputError, match="has no split 'val': neither annotations/instances_val.json"):
        open_boxes(whole, "val")
    changes: tuple[dict[str, Any], ...] = ({"categories": []}, {"images": None}, {"annotations": ["a"]})
    for number, change in enumerate(changes):
        with pytest.raises(InputError, match="is not in COCO's format"):
            open_boxes(_write_coco(tmp_path / str(number), **change), "train")
    with pytest.raises(InputError, match="has no boxes"):
        open_boxes(_write_coco(tmp_path / "bare", {name: [] for name in _BOXES}), "train")
    missing = _write_voc(tmp_path / "missing")
    (missing / "JPEGImages" / "b.jpg").unlink()
    assert [image.file.name for image in open_boxes(missing, "train").images] == ["a.jpg", "c.jpg"]
    (missing / "JPEGImages" / "b.jpg").write_bytes(b"no image")
    assert [image.file.name for image in open_boxes(missing, "train").images] == ["a.jpg", "c.jpg"]
    Image.new("RGB", (50, 40)).save(missing / "JPEGImages" / "b.jpg")
    with pytest.raises(InputError, match="b.jpg is 50 x 40 and its annotation says 40 x 50"):
        open_boxes(missing, "train")
    (missing / "Annotations" / "b.xml").write_text("<annotation>")
    with pytest.raises(InputError, match="b.xml is not in Pascal VOC's format"):
        open_boxes(missing, "train")


def test_a_split_has_the_classes_of_the_training_split(tmp_path):
    """A split with fewer classes has the same class numbers. A split with another class is refused."""
    _write_coco(tmp_path)
    _write_coco(tmp_path, {**_BOXES, "a.jpg": [("dog", (5, 6, 20, 30))], "c.jpg": []}, split="test")
    train = open_boxes(tmp_path, "train")
    test = open_boxes(tmp_path, "test", train.class_names)
    assert test.class_names == train.class_names == ("cat", "dog") and test.images[0].labels.tolist() == [1]
    with pytest.raises(InputError, match="'train' has boxes of classes that the training split lacks: cat; give"):
        open_boxes(tmp_path, "train", open_boxes(tmp_path, "test").class_names)


def test_crowds_and_difficult_objects_are_ignored_boxes(tmp_path):
    """Crowds of COCO and difficult objects of Pascal VOC are checked like other boxes, and make no class."""
    coco, voc = _write_coco(tmp_path / "coco"), _write_voc(tmp_path / "voc")
    file = coco / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    file = voc / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("<name>dog</name>", "<name>dog</name><difficult>1</difficult>"))
    for directory in (coco, voc):
        assert open_boxes(directory, "train").class_names == ("cat",)
        assert open_boxes(directory, "train").images[0].ignored_boxes.size == 0  # the detector knows no class "dog"
        images = open_boxes(directory, "train", ("cat", "dog"))
        assert _num_boxes(images) == 2 and images.images[0].boxes.tolist() == [[0, 0, 40, 50]]
        assert images.images[0].ignored_boxes.tolist() == [[5, 6, 20, 30]]
        assert images.images[0].ignored_labels.tolist() == [1] and images.images[1].ignored_boxes.shape == (0, 4)


@needs_real_images
def test_the_boxes_of_the_blood_cells_are_counted():
    """A text editor finds 4,888 boxes, two of them without area."""
    parts = [open_boxes(REAL_IMAGES / "bccd" / "BCCD", split) for split in ("train", "val", "test")]
    assert [len(part.images) for part in parts] == [205, 87, 72]
    assert sum(_num_boxes(part) for part in parts) + 2 == 4888
    assert all(part.class_names == ("Platelets", "RBC", "WBC") for part in parts)
    (sentence,) = describe_remarks(parts)
    assert "BloodImage_00338.jpg: RBC from 504, 337 to 504, 337" in sentence
    np.testing.assert_array_equal(parts[0].images[0].boxes[0], [68, 315, 286, 480])

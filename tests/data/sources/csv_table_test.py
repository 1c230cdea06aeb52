"""Tables of images: label columns, empty cells, and errors with line and column."""

import json
import pathlib

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from seer_tf.data.sources import registry
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for number in range(4):
        Image.new("RGB", (6, 5), (number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def _open(folder: pathlib.Path, text: str | bytes, options: str = "") -> Source:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return registry.open_source(f"csv:{path}{options}")


def _classes(source: Source) -> dict[str, tuple[str, ...]]:
    names = source.class_names or ()
    return {name: tuple(names[label] for label in source.classes_of(n)) for n, name in enumerate(source.ids)}


def test_ids_without_a_suffix_stand_for_files(folder: pathlib.Path) -> None:
    assert _classes(_open(folder, "breed,id\ncat,0\ndog,1\n", "?label_column=breed")) == _CAT_AND_DOG


_CAT_AND_DOG = {"0.png": ("cat",), "1.png": ("dog",)}


@pytest.mark.parametrize(
    "text",
    [
        "file;label\n0.png;cat\n1.png;dog\n",
        "file\tlabel\n0.png\tcat\n1.png\tdog\n",
        "file|label\r\n0.png|cat\r\n1.png|dog\r\n",
        "label,file\ncat,0.png\ndog,1.png\n",
        "id,width,label,image\n7,640,cat,0.png\n8,480,dog,1.png\n",
        "file,cat,dog\n0.png,1,0\n1.png,0,1\n",
        "dog;cat;file\nFalse;True;0.png\nTrue;False;1.png\n",
        '{"label": "cat", "file_name": "0.png"}\n\n{"file_name": "1.png", "label": ["dog"], "width": 3}\n',
        "file\tlabel\n0.png\tcat\n1.png\tdog\n".encode("utf-16"),
    ],
    ids=["semicolons", "tabs", "bars", "order", "other columns", "one-hot", "true", "JSON lines", "UTF-16"],
)
def test_tables_in_many_forms_give_the_same_classes(folder, text):
    source = _open(folder, text)
    assert _classes(source) == _CAT_AND_DOG and source.class_names == ("cat", "dog")


def test_parquet(folder):
    columns = {"image": ["0.png", "1.png", "2.png"], "kind": ["cat", None, "dog"], "bytes": [b"1", b"2", b"3"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "table.parquet")
    source = registry.open_source(str(folder / "table.parquet"))
    assert _classes(source) == {"0.png": ("cat",), "1.png": (), "2.png": ("dog",)}
    pyarrow.parquet.write_table(
        pyarrow.table({"image": ["0.png", "1.png"], "label": [1.0, 2.0]}), folder / "table.parquet"
    )
    assert _classes(registry.open_source(f"csv:{folder}/table.parquet")) == {"0.png": ("1",), "1.png": ("2",)}
    (folder / "table.parquet").write_bytes(b"PAR1 and more")
    with pytest.raises(InputError, match="table.parquet: the Parquet file cannot be read"):
        registry.open_source(f"csv:{folder}/table.parquet")


def test_empty_cells_are_no_classes_and_are_counted(folder, caplog):
    source = _open(folder, "file,label\n0.png,cat\n1.png,NaN\n2.png,\n3.png,dog; nan\n")
    assert source.class_names == ("cat", "dog") and source.labels is None
    assert _classes(source) == {"0.png": ("cat",), "1.png": (), "2.png": (), "3.png": ("dog",)}
    assert "2 rows without a label, the first in line 3" in caplog.text


def test_paths_may_have_spaces_around_them_and_the_slashes_of_windows(folder):
    (folder / "sub").mkdir()
    (folder / "0.png").rename(folder / "sub" / " 0.png")
    (folder / "1.png").rename(folder / " 1.png")
    source = _open(folder, "label, file \ncat,sub\\ 0.png \ndog, 1.png\nowl,  2.png\n")
    assert _classes(source) == {"sub/ 0.png": ("cat",), " 1.png": ("dog",), "2.png": ("owl",)}


def test_whole_numbers_that_pandas_wrote_as_floats_are_the_same_classes(folder):
    source = _open(folder, "file,label\n0.png,1\n1.png,1.0\n2.png,-2.0\n3.png,1.01\n")
    assert _classes(source) == {"0.png": ("1",), "1.png": ("1",), "2.png": ("-2",), "3.png": ("1.01",)}


def test_a_column_of_numbers_with_commas_is_no_column_of_classes(folder):
    with pytest.raises(InputError, match="which columns are labels.* line 2, column Breite holds '3,5'"):
        _open(folder, "Datei;Klasse;Breite\n0.png;Katze;3,5\n1.png;Hund;4,25\n")


def test_columns_are_chosen_by_name(folder):
    text = "name,breed,kind,area\n0.png,tabby,cat,3\n1.png,poodle,dog,4\n"
    assert _classes(_open(folder, text, "?label_column=kind")) == _CAT_AND_DOG
    both = _open(folder, text, "?label_column=kind,breed&file_column=name")
    assert _classes(both) == {"0.png": ("cat", "tabby"), "1.png": ("dog", "poodle")}
    assert registry.absolute("csv:a/../table.csv?label_column=kind").endswith("/table.csv?label_column=kind")
    with pytest.raises(InputError, match="there is no column in csv:.*'kinds': did you mean 'kind'"):
        _open(folder, text, "?label_column=kinds")
    with pytest.raises(InputError, match="there is no option of csv:.* 'labels'"):
        _open(folder, text, "?labels=kind")
    with pytest.raises(
        InputError, match=r"which columns are labels.* name, breed, kind, area, and line 2, column area"
    ):
        _open(folder, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,cat,dog\n0.png,1,0\n1.png,0,0.7\n", "line 3, column dog holds '0.7', which is neither 0 nor 1"),
        ("file,label\n0.png,cat\n,dog\n", "line 3, column file: no file is named"),
        ('file,label\n0.png,"a\nb"\n1.png,x,y\n', "line 4 has 3 cells instead of 2"),
        ('file,label\n0.png,"a"b\n', "line 2 is not CSV"),
        (b"file,label\n0.png,caf\xe9\n", "not CSV in UTF-8 .line 2, byte 10."),
        ('{"file": "0.png", "label": "cat"}\n{"file": }\n', "line 2, column 10 is not JSON"),
        ('{"file": "0.png", "label": "cat"}\n7\n', "line 2 is no JSON object"),
        (json.dumps([{"file": "0.png"}]), "this is a list in JSON; write JSON lines"),
    ],
)
def test_errors_name_line_and_column(folder, text, sentence):
    with pytest.raises(InputError, match=sentence):
        _open(folder, text)

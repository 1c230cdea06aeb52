"""Imports between rooms follow the rules in docs/design/house.md.

The tests read the source files and import none of them.
"""

import ast
import graphlib
import pathlib
from collections.abc import Iterator, Mapping

import pytest

_ROOT = pathlib.Path(__file__).parent.parent
_SOURCES = {
    path.relative_to(_ROOT).as_posix(): path.read_text()
    for folder in ("seer_tf", "experiments", "benchmarks")
    for path in sorted((_ROOT / folder).rglob("*.py"))
}
_MODULES = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in _SOURCES}

# The rooms that each room of seer_tf may import. Every room may also import the package's version.
_FOR_ALL = {
    "errors",
    "gpu",
    "precision",
    "progress",
    "quantities",
    "registry",
    "parallel",
    "stop_signals",
    "versions",
    "environment",
}
_GROUND = _FOR_ALL | {"config", "files", "distributed"}
_PARTS = {"data", "models", "optimizers"}
_ENGINE = _GROUND | _PARTS | {"training"}
_TASKS = _ENGINE | {"methods", "pretraining", "finetuning", "networks", "evaluation", "exporting", "reports"}
_METHODS = {path.split("/")[2] for path in _SOURCES if path.startswith("seer_tf/methods/") and path.count("/") == 3}
_MAY_IMPORT = {
    **dict.fromkeys(_GROUND | _PARTS, _GROUND),
    "keras_objects": set(),
    "training": _GROUND | _PARTS,
    "methods": _ENGINE,
    "pretraining": _ENGINE | {"methods"},
    "finetuning": _ENGINE | {"evaluation"},
    "networks": _ENGINE | {"methods", "pretraining", "finetuning"},
    "evaluation": _ENGINE | {"methods", "networks", "finetuning"},
    "exporting": _ENGINE | {"networks"},
    "reports": _ENGINE | {"networks", "evaluation"},
    "api": _TASKS,
    "cli": _TASKS | {"api"},
}
_MAY_DISTRIBUTE = tuple(
    f"seer_tf/{place}" for place in ("training/", "distributed/", "pretraining/task", "finetuning/task")
)


@pytest.mark.parametrize("path", _SOURCES)
def test_a_file_knows_only_what_it_may(path: str) -> None:
    assert list(_faults(path, _SOURCES[path])) == []


def test_no_imports_in_a_circle() -> None:
    assert _circle({module: _SOURCES[path] for module, path in _MODULES.items() if module != "seer_tf"}) == []


def test_a_circle_is_found() -> None:
    sources = {"seer_tf.errors": "import seer_tf.files.atomic", "seer_tf.files.atomic": "from seer_tf import errors"}
    assert set(_circle(sources)) == set(sources)


def _circle(sources: Mapping[str, str]) -> list[str]:
    """Returns modules that import one another in a circle; none if there is no circle."""
    graph = {
        module: {target for target in _imports(ast.parse(source)) if target in sources}
        for module, source in sources.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("seer_tf/models/new.py", "from seer_tf.methods.swav.sinkhorn import sinkhorn", "imports seer_tf.methods.swav"),
        ("seer_tf/models/new.py", "def f():\n    import seer_tf.training.step", "imports seer_tf.training.step"),
        ("seer_tf/config.py", "from seer_tf.pretraining import recipes", "imports seer_tf.pretraining"),
        ("seer_tf/training/new.py", "from seer_tf.methods.swav import step", "imports seer_tf.methods.swav"),
        ("seer_tf/training/new.py", "from seer_tf.finetuning import step", "imports seer_tf.finetuning"),
        ("seer_tf/training/new.py", "from seer_tf.pretraining import task", "imports seer_tf.pretraining"),
        ("seer_tf/methods/swav/new.py", "from seer_tf.finetuning import step", "imports seer_tf.finetuning"),
        ("seer_tf/methods/swav/new.py", "from seer_tf.methods.byol import step", "imports another method"),
        ("seer_tf/evaluation/new.py", "from seer_tf.exporting import exporter", "imports seer_tf.exporting"),
        ("seer_tf/exporting/new.py", "from seer_tf.reports import pictures", "imports seer_tf.reports"),
        ("seer_tf/attic/new.py", "import seer_tf.config", "is in no room"),
        ("seer_tf/data/new.py", "from . import decode", "imports by a relative name"),
        ("seer_tf/data/new.py", "from seer_tf.cli import command", "imports seer_tf.cli"),
        ("seer_tf/data/new.py", "from experiments import pretrain", "imports experiments"),
        ("seer_tf/data/new.py", "from absl import flags", "imports absl.flags"),
        (
            "seer_tf/methods/swav/new.py",
            "import tensorflow as tf\ntf.distribute.Strategy",
            "uses tf.distribute",
        ),
        ("experiments/new.py", "from tensorflow import distribute", "uses tf.distribute"),
        ("seer_tf/data/utils.py", "", "is named utils"),
    ],
)
def test_a_fault_is_found(path: str, source: str, fault: str) -> None:
    assert any(fault in found for found in _faults(path, source))


def _faults(path: str, source: str) -> Iterator[str]:
    """Yields a sentence for each broken rule in a file."""
    package, room, *_ = [*path.removesuffix(".py").split("/"), ""]
    tree = ast.parse(source)
    targets = set(_imports(tree))
    if pathlib.PurePath(path).stem in ("utils", "util", "helpers", "misc"):
        yield f"{path} is named {pathlib.PurePath(path).stem}, which says nothing"
    if None in targets:
        yield f"{path} imports by a relative name"
    if _distributes(tree) and not path.startswith(_MAY_DISTRIBUTE):
        yield f"{path} uses tf.distribute; call collectives.all_reduce"
    if package != "seer_tf" or room == "__init__":
        return
    if room not in _MAY_IMPORT:
        yield f"{path} is in no room of docs/design/house.md"
    for target in filter(None, targets):
        top, _, rest = target.partition(".")
        other = rest.partition(".")[0]
        if top in ("experiments", "benchmarks", "tests") or (room != "cli" and target.startswith("absl.flags")):
            yield f"{path} imports {target}"
        elif room == other == "methods" and rest.split(".")[1:2] not in ([], path.split("/")[2:3]):
            yield f"{path} imports another method, {target}"
        elif top == "seer_tf" and other not in {"", room} | _MAY_IMPORT.get(room, set()):
            yield f"{path} imports {target}"


def _imports(tree: ast.AST) -> Iterator[str | None]:
    """Yields the dotted name of each import in a file, and None for a relative import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in _MODULES or _is_a_room(whole) or whole == "absl.flags" else node.module


def _is_a_room(name: str) -> bool:
    return name.startswith("seer_tf.") and name.removeprefix("seer_tf.") in _MAY_IMPORT


def _distributes(tree: ast.AST) -> bool:
    """Whether the file uses `tf.distribute` or imports from `tensorflow.distribute`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "distribute" and isinstance(node.value, ast.Name):
            return True
        if isinstance(node, ast.Import) and any("tensorflow.distribute" in alias.name for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tensorflow"):
            if "distribute" in node.module or any(alias.name == "distribute" for alias in node.names):
                return True
    return False

"""Imports point one way (docs/design.md). Read from the source; nothing is imported."""

import ast
import graphlib
import pathlib
from collections.abc import Iterator

import pytest

_ROOT = pathlib.Path(__file__).parent.parent
_SOURCES = {
    path.relative_to(_ROOT).as_posix(): path.read_text()
    for folder in ("seer_tf", "experiments", "benchmarks")
    for path in sorted((_ROOT / folder).rglob("*.py"))
}
_MODULES = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in _SOURCES}

# What a file or folder of seer_tf may import from the others, besides the package's name and version.
_HOSTS = {"cluster", "strategies", "roll_call", "cluster_check"}
_GROUND = {"errors", "config", "finetune_config", "progress", "distribution", "whole_file", "file_lock"} | _HOSTS
_LEARNING = {"data", "models", "swav", "optimizers"}
_USING = {"evaluation", "export", "reports"}
_MAY_IMPORT = {
    **dict.fromkeys(_GROUND | {"recipes", "finetune_recipes"} | _LEARNING, _GROUND),
    "planning": _GROUND | {"models"},
    "auto_recipe": _GROUND | {"models", "planning"},
    "train": _GROUND | _LEARNING,
    **dict.fromkeys(_USING, _GROUND | _LEARNING | {"train"}),
}

_MAY_DISTRIBUTE = ("seer_tf/train/", *(f"seer_tf/{name}.py" for name in ("distribution", "cluster", "strategies")))


@pytest.mark.parametrize("path", _SOURCES)
def test_a_file_knows_only_what_it_may(path: str) -> None:
    assert list(_faults(path, _SOURCES[path])) == []


def test_no_imports_in_a_circle() -> None:
    graph = {
        module: {target for target in _imports(ast.parse(_SOURCES[path])) if target in _MODULES}
        for module, path in _MODULES.items()
        if module != "seer_tf"
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("seer_tf/models/new.py", "from seer_tf.swav.sinkhorn import sinkhorn", "imports seer_tf.swav.sinkhorn"),
        ("seer_tf/models/new.py", "def f():\n    import seer_tf.train.step", "imports seer_tf.train.step"),
        ("seer_tf/config.py", "from seer_tf import recipes", "imports seer_tf.recipes"),
        ("seer_tf/train/new.py", "from seer_tf.evaluation import knn", "imports seer_tf.evaluation"),
        ("seer_tf/export/new.py", "from seer_tf.reports import pictures", "imports seer_tf.reports"),
        ("seer_tf/attic/new.py", "import seer_tf.config", "is in no room"),
        ("seer_tf/data/new.py", "from . import decode", "imports by a relative name"),
        ("seer_tf/data/new.py", "from experiments import command", "imports experiments"),
        ("seer_tf/data/new.py", "from absl import flags", "imports absl.flags"),
        ("seer_tf/swav/new.py", "import tensorflow as tf\ntf.distribute.get_replica_context()", "uses tf.distribute"),
        ("experiments/new.py", "from tensorflow import distribute", "uses tf.distribute"),
        ("seer_tf/data/utils.py", "", "is named utils"),
    ],
)
def test_a_fault_is_found(path: str, source: str, fault: str) -> None:
    assert any(fault in found for found in _faults(path, source))


def _faults(path: str, source: str) -> Iterator[str]:
    """Yields what is wrong with a file, in words."""
    package, room, *_ = [*path.removesuffix(".py").split("/"), ""]
    tree = ast.parse(source)
    targets = set(_imports(tree))
    if pathlib.PurePath(path).stem in ("utils", "util", "helpers", "misc"):
        yield f"{path} is named {pathlib.PurePath(path).stem}, which says nothing"
    if None in targets:
        yield f"{path} imports by a relative name"
    if _distributes(tree) and not path.startswith(_MAY_DISTRIBUTE):
        yield f"{path} uses tf.distribute; call distribution.all_reduce"
    if package != "seer_tf" or room == "__init__":
        return
    if room not in _MAY_IMPORT:
        yield f"{path} is in no room of docs/design.md"
    for target in filter(None, targets):
        top, _, rest = target.partition(".")
        other = rest.partition(".")[0]
        if top in ("experiments", "benchmarks", "tests") or target.startswith("absl.flags"):
            yield f"{path} imports {target}"
        elif top == "seer_tf" and other not in {"", room} | _MAY_IMPORT.get(room, set()):
            yield f"{path} imports {target}"


def _imports(tree: ast.AST) -> Iterator[str | None]:
    """Yields the dotted names that are imported anywhere in a file; None for a relative one."""
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
    """Whether `tf.distribute` is named, or imported by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "distribute" and isinstance(node.value, ast.Name):
            return True
        if isinstance(node, ast.Import) and any("tensorflow.distribute" in alias.name for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tensorflow"):
            if "distribute" in node.module or any(alias.name == "distribute" for alias in node.names):
                return True
    return False

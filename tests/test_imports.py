"""The package's rooms import only downwards."""

import ast
import sys
from pathlib import Path, PurePosixPath

import pytest

import dataset_conversion
import nnunet_eas

PACKAGE = Path(nnunet_eas.__file__).resolve().parent

# The rooms: (where in the package, layer, what it may import from outside the standard library and nnunet_eas; None is
# anything). The first row that fits a file counts; a name without an ending is a folder with all that lies below it.
NETWORK = {"torch", "numpy", "dynamic_network_architectures"}
ARRAYS = {"numpy", "scipy"}
ROOMS = (
    ("network/__init__.py", 2, NETWORK),
    ("network/eas_unet.py", 2, NETWORK),
    ("network/encoder.py", 2, NETWORK),
    ("network/decoder.py", 2, NETWORK),
    ("network/eas_module.py", 2, NETWORK),
    ("network", 1, {"torch"}),
    ("plan_translation.py", 3, None),
    ("phantom", 4, ARRAYS),
    ("phantom_archive", 4, ARRAYS | {"SimpleITK", "pydicom"}),
    ("evaluation", 4, ARRAYS | {"SimpleITK", "PIL"}),
    ("morphometry", 4, ARRAYS | {"SimpleITK", "skimage", "matplotlib"}),
    ("reporting", 4, {"numpy", "SimpleITK", "PIL"}),
    ("inference", 4, None),
    ("trainer", 4, None),
    ("planner", 4, None),
    ("crossval", 4, None),
    ("demo", 4, None),
    ("lookup", 5, None),
    ("startup.py", 5, set()),
    ("support", 0, {"numpy", "SimpleITK", "filelock", "tqdm", "isal"}),
    ("cli", 5, None),
    # holds the version, imports nothing and may be imported by all
    ("__init__.py", 0, set()),
)
STANDARD_LIBRARY = sys.stdlib_module_names


def room_of(path):
    """The row for a file of the package, given relative to it; None where no row fits."""
    path = PurePosixPath(path)
    for row in ROOMS:
        if path == PurePosixPath(row[0]) or PurePosixPath(row[0]) in path.parents:
            return row
    return None


def imported_names(source, path):
    """Every absolute dotted name that a source imports, wherever in the file it does; relative ones are resolved."""
    package = ["nnunet_eas", *PurePosixPath(path).parent.parts]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            yield from (".".join([*base, alias.name]) for alias in node.names)


def file_of(name):
    """The file of ours that a dotted name `nnunet_eas...` names, longest match first, relative to the package."""
    parts = name.split(".")[1:]
    while parts:
        for candidate in (PurePosixPath(*parts).with_suffix(".py"), PurePosixPath(*parts, "__init__.py")):
            if (PACKAGE / candidate).is_file():
                return candidate
        parts.pop()
    return PurePosixPath("__init__.py")


def violations(source, path):
    """What is wrong with the imports of one source, in words."""
    room, layer, allowed = room_of(path)
    found = []
    for name in imported_names(source, path):
        top = name.split(".")[0]
        if top == "nnunet_eas":
            other_room, other_layer, _ = room_of(file_of(name))
            if other_layer > layer:
                found.append(f"{path} (layer {layer}) imports {name} (layer {other_layer})")
            if {room, other_room} == {"planner", "trainer"}:
                found.append(f"{path} imports {name}; planner and trainers do not know each other")
        elif top == "dataset_conversion" and room != "cli":
            found.append(f"{path} imports {name}; only the command line knows the conversion")
        elif top not in STANDARD_LIBRARY and allowed is not None and top not in allowed:
            found.append(f"{path} imports {name}; the room {room} may import only {sorted(allowed)}")
    return found


SOURCES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def test_the_sources_are_found():
    assert "startup.py" in SOURCES
    assert "network/__init__.py" in SOURCES


@pytest.mark.parametrize("path", SOURCES)
def test_imports_point_downwards(path):
    assert room_of(path) is not None, f"{path} has no room: add it to the table"
    assert violations((PACKAGE / path).read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("network/anything.py", "import nnunetv2"),
        ("network/anything.py", "def f():\n    from nnunetv2.paths import nnUNet_raw"),
        ("network/anything.py", "import dynamic_network_architectures.architectures"),
        ("network/anything.py", "from nnunet_eas.startup import register"),
        ("network/anything.py", "from ..startup import register"),
        ("network/anything.py", "from .. import startup"),
        ("network/eas_unet.py", "from nnunetv2 import paths"),
        ("plan_translation.py", "from nnunet_eas.cli import main"),
        ("plan_translation.py", "from nnunet_eas import startup"),
        ("evaluation/anything.py", "import torch"),
        ("phantom/anything.py", "import SimpleITK"),
        ("trainer/anything.py", "import nnunet_eas.cli.main"),
        ("trainer/anything.py", "from nnunet_eas.planner import EASUNetPlanner"),
        ("planner/anything.py", "from nnunet_eas.trainer import EASUNetTrainer"),
        ("startup.py", "import torch"),
        ("demo/anything.py", "from dataset_conversion import scans"),
    ],
)
def test_the_rule_bites(path, source):
    assert len(violations(source, path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("network/anything.py", "import math\nimport torch.nn as nn\nfrom nnunet_eas import __version__"),
        ("network/eas_unet.py", "from dynamic_network_architectures.building_blocks import helper"),
        ("plan_translation.py", "from nnunet_eas.network import anything"),
        ("trainer/anything.py", "import nnunetv2\nfrom . import other"),
        ("cli/anything.py", "from nnunet_eas import startup"),
    ],
)
def test_the_rule_lets_pass(path, source):
    assert violations(source, path) == []


CONVERSION = Path(dataset_conversion.__file__).resolve().parent
CONVERSION_MAY_IMPORT = {
    *("dataset_conversion", "numpy", "scipy", "SimpleITK", "pydicom", "nibabel", "PIL", "sklearn", "tqdm", "isal"),
    *("h5py", "openpyxl", "highdicom"),
    "nnunet_eas",
}


@pytest.mark.parametrize("path", sorted(CONVERSION.rglob("*.py")), ids=lambda path: path.name)
def test_the_conversion_needs_neither_torch_nor_the_plugin(path):
    names = list(imported_names(path.read_text(encoding="utf-8"), path.name))
    assert {name.split(".")[0] for name in names} - set(STANDARD_LIBRARY) <= CONVERSION_MAY_IMPORT
    ours = [name for name in names if name.startswith("nnunet_eas.")]
    assert all(name.startswith("nnunet_eas.support.") for name in ours), "of the plugin only its support/ room"

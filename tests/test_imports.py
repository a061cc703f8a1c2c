"""The imports of the package: downwards between the rooms, in no circle, and possible on every system."""

import ast
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

import dataset_conversion
import nnunet_eas

PACKAGE = Path(nnunet_eas.__file__).resolve().parent
CONVERSION = Path(dataset_conversion.__file__).resolve().parent

# The rooms: (where in the package, layer, what it may import from outside the standard library and nnunet_eas; None is
# anything). The first row that fits a file counts; a name without an ending is a folder with everything below it.
NETWORK = {"torch", "numpy", "dynamic_network_architectures"}
ARRAYS = {"numpy", "scipy"}
ROOMS = (
    ("support/datasets.py", 0, {"nnunetv2"}),
    ("support/checkpoints.py", 0, {"torch", "numpy"}),
    ("support/device.py", 0, {"torch"}),
    ("support/safe_pickle.py", 0, {"nnunetv2", "numpy"}),
    ("support", 0, {"numpy", "SimpleITK", "nibabel", "filelock", "tqdm", "isal"}),
    ("network", 1, NETWORK),
    ("cpu", 2, {"torch"}),
    ("gpu/depthwise_kernels.py", 2, {"triton"}),
    ("gpu/depthwise_operators.py", 2, {"torch", "triton"}),
    ("gpu", 2, {"torch"}),
    ("plans/translation.py", 3, None),
    ("phantom", 4, ARRAYS),
    ("phantom_archive", 4, ARRAYS | {"SimpleITK", "pydicom"}),
    ("evaluation", 4, ARRAYS | {"SimpleITK", "PIL"}),
    ("morphometry", 4, ARRAYS | {"SimpleITK", "skimage", "matplotlib"}),
    ("reporting", 4, {"numpy", "SimpleITK", "PIL", "matplotlib", "jinja2"}),
    ("inference", 4, None),
    ("trainer", 4, None),
    ("plans", 4, None),
    ("crossval", 4, None),
    ("sharing", 4, None),
    ("demo", 4, None),
    ("lookup", 5, None),
    ("startup.py", 5, set()),
    ("cli", 5, None),
    # the version and the lazy public names: it imports nothing, and all rooms may import the version
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


def statements(tree):
    """Every statement of a source but those for type checkers, which never run."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from statements(node)


def imported_names(source, path, package="nnunet_eas"):
    """Every absolute dotted name that a source imports, also inside functions; relative ones are resolved."""
    folder = [package, *PurePosixPath(path).parent.parts]
    for node in statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            yield from (".".join([*base, alias.name]) for alias in node.names)


def file_of(name, package=PACKAGE):
    """The file that a dotted name of a package names, longest match first, relative to the package."""
    parts = name.split(".")[1:]
    while parts:
        for candidate in (PurePosixPath(*parts).with_suffix(".py"), PurePosixPath(*parts, "__init__.py")):
            if (package / candidate).is_file():
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
            target = file_of(name)
            other_room, other_layer, _ = room_of(target)
            if other_layer > layer:
                found.append(f"{path} (layer {layer}) imports {name} (layer {other_layer})")
            if {room, other_room} == {"plans", "trainer"}:
                found.append(f"{path} imports {name}; planner and trainers do not know each other")
            if room == other_room == "cli" and path != "cli/main.py" and target.name != "options.py":
                found.append(f"{path} imports {name}; a command calls functions, not other commands")
            if name.removeprefix("nnunet_eas.") in nnunet_eas.__all__:
                found.append(f"{path} imports {name}; inside the package, import it from its own module")
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
        ("network/anything.py", "from nnunet_eas.startup import register"),
        ("network/anything.py", "from ..startup import register"),
        ("network/anything.py", "from .. import startup"),
        ("network/eas_unet.py", "from nnunetv2 import paths"),
        ("network/blocks.py", "from nnunet_eas.cpu import anything"),
        ("network/blocks.py", "import scipy"),
        ("support/anything.py", "import torch"),
        ("cpu/anything.py", "import numpy"),
        ("cpu/anything.py", "from nnunet_eas.trainer import EASUNetTrainer"),
        ("cli/export.py", "from nnunet_eas.cli import predict"),
        ("cli/export.py", "from nnunet_eas.cli.main import main"),
        ("trainer/anything.py", "from nnunet_eas import EASUNet"),
        ("plans/translation.py", "from nnunet_eas.cli import main"),
        ("plans/translation.py", "from nnunet_eas import startup"),
        ("evaluation/anything.py", "import torch"),
        ("phantom/anything.py", "import SimpleITK"),
        ("trainer/anything.py", "import nnunet_eas.cli.main"),
        ("trainer/anything.py", "from nnunet_eas.plans.planner import EASUNetPlanner"),
        ("plans/anything.py", "from nnunet_eas.trainer import EASUNetTrainer"),
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
        ("plans/translation.py", "from nnunet_eas.network import anything"),
        ("trainer/anything.py", "import nnunetv2\nfrom . import other"),
        ("cpu/anything.py", "from nnunet_eas.network.blocks import anything"),
        ("trainer/anything.py", "from nnunet_eas.cpu.accelerate import accelerate"),
        ("trainer/anything.py", "from nnunet_eas.plans.translation import translate_plans"),
        ("cli/anything.py", "from nnunet_eas import startup"),
        ("cli/main.py", "from nnunet_eas.cli import export"),
        ("cli/export.py", "from nnunet_eas.cli import options"),
    ],
)
def test_the_rule_lets_pass(path, source):
    assert violations(source, path) == []


def circles(edges):
    """The circles of a graph {node: nodes}, each as the list of its nodes."""
    found, done = [], set()

    def visit(node, way):
        if node in way:
            found.append(way[way.index(node) :])
        elif node not in done:
            for other in sorted(edges.get(node, ())):
                visit(other, [*way, node])
            done.add(node)

    for node in sorted(edges):
        visit(node, [])
    return found


def modules_imported_by(package, path):
    """The files of a package that one of its files imports; for `from . import a`, the module a."""
    names = imported_names((package / path).read_text(encoding="utf-8"), path, package.name)
    return {file_of(name, package).as_posix() for name in names if name.split(".")[0] == package.name} - {path}


@pytest.mark.parametrize("package", [PACKAGE, CONVERSION], ids=lambda package: package.name)
def test_no_module_imports_itself_through_others(package):
    files = [path.relative_to(package).as_posix() for path in package.rglob("*.py")]
    assert circles({path: modules_imported_by(package, path) for path in files}) == []


def test_no_room_imports_itself_through_others():
    edges = {}
    for path in SOURCES:
        room = room_of(path)[0]
        others = {room_of(other)[0] for other in modules_imported_by(PACKAGE, path)}
        edges.setdefault(room, set()).update(others - {room})
    assert circles(edges) == []


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


@pytest.mark.parametrize("name", nnunet_eas.__all__)
def test_a_public_name_is_what_its_module_defines(name):
    folder = CONVERSION if nnunet_eas._MODULES[name].startswith("dataset_conversion") else PACKAGE
    if file_of(nnunet_eas._MODULES[name], folder).name == "__init__.py" and name != "EASUNetTrainer":
        pytest.skip("its module does not exist yet")
    value = getattr(nnunet_eas, name)
    assert value.__name__ == name
    assert value.__module__.startswith(("nnunet_eas.", "dataset_conversion."))


def test_the_public_names_are_listed_and_no_others_resolve():
    assert set(nnunet_eas.__all__) == set(nnunet_eas._MODULES)
    assert set(nnunet_eas.__all__) <= set(dir(nnunet_eas))
    with pytest.raises(AttributeError, match="module 'nnunet_eas' has no attribute 'nothing'"):
        nnunet_eas.nothing  # noqa: B018


WITHOUT_UNIX = """
import importlib, signal, sys
import asyncio  # on Linux it needs fcntl, on Windows it does not
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGKILL", "SIGALRM", "SIGCHLD", "SIGCONT", "SIGTSTP"):
    if hasattr(signal, name):
        delattr(signal, name)
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")
"""


@pytest.mark.slow
def test_everything_imports_where_unix_modules_and_signals_are_missing():
    modules = [
        ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")
        for package in (PACKAGE, CONVERSION)
        for path in sorted(package.rglob("*.py"))
    ]
    completed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_UNIX, *modules], capture_output=True, text=True, check=False
    )
    assert (completed.returncode, completed.stdout) == (0, ""), completed.stderr


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

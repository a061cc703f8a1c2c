"""The package as users get it: built, installed into a new environment, used in a fresh shell.

The new environments see the packages of the running one through a folder of links, so that PyTorch is not installed
again. nnunet_eas and nnunetv2 are not among the links: a test finds only those that it has installed.
"""

import contextlib
import email
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nnunet_eas", "dataset_conversion")
STARTUP_FILE = "hatch_autorun_nnunet_eas.pth"
NOT_FOUND = "RuntimeError: Could not find requested nnunet trainer EASUNetTrainer"

LOOK_UP = """
import json, os, pickle, sys
import nnunetv2
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
for name in sys.argv[1:]:
    found = recursive_find_trainer_class_by_name(name)
    result = {
        "module": found.__module__,
        "nnunetv2": nnunetv2.__file__,
        "variable": os.environ.get("nnUNet_extTrainer"),
    }
    if found.__module__.startswith("nnunet_eas."):
        import nnunet_eas
        import nnunet_eas.trainer
        result["nnunet_eas"] = nnunet_eas.__file__
        result["is_imported_class"] = found is getattr(nnunet_eas.trainer, name)
        result["pickles"] = pickle.loads(pickle.dumps(found)) is found
    print(json.dumps(result))
"""


def run(command, *, cwd, env=None, check=True):
    completed = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if check and completed.returncode != 0:
        pytest.fail(f"{command} exited with {completed.returncode}\n{completed.stdout}\n{completed.stderr}")
    return completed


def link_packages(target, wanted):
    """Links the wanted entries of the running environment's site-packages into a new folder."""
    target.mkdir()
    for folder in map(Path, sys.path):
        if folder.name not in ("site-packages", "dist-packages") or not folder.is_dir():
            continue
        for entry in folder.iterdir():
            link = target / entry.name
            if entry.suffix != ".pth" and entry.name != "__pycache__" and wanted(entry.name) and not link.exists():
                link.symlink_to(entry)
    return target


def belongs_to(name, *packages):
    return name.split("-")[0].split(".")[0] in packages


@pytest.fixture(scope="session")
def base_packages(tmp_path_factory):
    return link_packages(
        tmp_path_factory.mktemp("links") / "base", lambda name: not belongs_to(name, "nnunet_eas", "nnunetv2")
    )


@pytest.fixture(scope="session")
def nnunet_packages(tmp_path_factory):
    target = link_packages(tmp_path_factory.mktemp("links") / "nnunetv2", lambda name: belongs_to(name, "nnunetv2"))
    assert (target / "nnunetv2").is_dir(), "these tests need an nnunetv2 in site-packages"
    return target


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The sdist from the sources, and the wheel from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT], cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return {"sdist": sdist, "wheel": wheel}


class Environment:
    """A new virtual environment, and a fresh shell in it."""

    def __init__(self, folder, packages):
        self.folder = folder
        self.home = folder / "home"
        run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], cwd=folder)
        self.python = folder / "venv" / "bin" / "python"
        (self.site_packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (self.site_packages / "_base.pth").write_text("\n".join(map(str, packages)), encoding="utf-8")
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            (self.home / name).mkdir(parents=True)

    def pip(self, *arguments):
        """Runs pip with the registry settings of the running environment."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "nnUNet"))}
        return run([sys.executable, "-m", "pip", "-q", "--python", self.python, *arguments], cwd=self.folder, env=env)

    def shell(self, **variables):
        """The variables of a fresh shell: a path, a home, and nnU-Net's three folders."""
        folders = {name: str(self.home / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
        path = os.pathsep.join((str(self.python.parent), os.defpath))
        return {"PATH": path, "HOME": str(self.home), **folders, **variables}

    def run(self, *command, check=True, **variables):
        return run(command, cwd=self.home, env=self.shell(**variables), check=check)

    def look_up(self, *names, **variables):
        """Results of nnU-Net's search for each trainer, in one process, as each search imports all of them."""
        names = names or ("EASUNetTrainer",)
        completed = self.run(self.python, "-c", LOOK_UP, *names, **variables)
        found = [json.loads(line) for line in completed.stdout.splitlines() if line.startswith("{")]
        return found if len(names) > 1 else found[0]

    def entries(self):
        """Every file of the environment except bytecode."""
        files = (self.folder / "venv").rglob("*")
        return {path for path in files if "__pycache__" not in path.parts}


@pytest.fixture
def new_environment(tmp_path, base_packages, nnunet_packages):
    return Environment(tmp_path, [base_packages, nnunet_packages])


@pytest.fixture
def environment_without_nnunet(tmp_path, base_packages):
    return Environment(tmp_path, [base_packages])


@pytest.fixture(scope="module")
def wheel_environment(tmp_path_factory, base_packages, nnunet_packages, built):
    """An environment with the wheel, for the tests that do not change it."""
    environment = Environment(tmp_path_factory.mktemp("wheel"), [base_packages, nnunet_packages])
    environment.pip("install", "--no-deps", "--no-index", built["wheel"])
    return environment


@pytest.fixture
def checkout(tmp_path):
    """A copy of the sources that a test may delete."""
    folder = tmp_path / "checkout"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def install_editable(environment, checkout):
    environment.pip("install", "--no-deps", "--no-index", "--no-build-isolation", "-e", checkout)


def test_wheel_holds_the_packages_the_start_up_file_and_nothing_else(built):
    names = set(zipfile.ZipFile(built["wheel"]).namelist())
    sources = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert sources | {"nnunet_eas/py.typed", STARTUP_FILE} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {*PACKAGES, STARTUP_FILE}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_all_that_we_depend_on_comes_with_nnunet_but_for_three(built):
    def requirements(lines):
        parsed = [Requirement(line) for line in lines or ()]
        active = [line for line in parsed if line.marker is None or line.marker.evaluate({"extra": ""})]
        return {canonicalize_name(line.name) for line in active}

    brought, todo = set(), {"nnunetv2"}
    while todo:
        name = todo.pop()
        brought.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):  # not needed on this platform
            todo |= requirements(metadata.requires(name)) - brought

    with zipfile.ZipFile(built["wheel"]) as archive:
        (file,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        asked = email.message_from_bytes(archive.read(file)).get_all("Requires-Dist")
    assert "nnunetv2" in requirements(asked)
    assert requirements(asked) - brought == {"pydicom", "isal", "submitit"}


def test_sdist_holds_all_that_the_tests_need(built):
    with tarfile.open(built["sdist"]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", ".ci/run"}
    wanted |= {f"tests/{path.name}" for path in (ROOT / "tests").glob("*.py")}
    assert wanted <= names


def test_found_from_a_wheel(wheel_environment):
    result = wheel_environment.look_up()
    package = wheel_environment.site_packages / "nnunet_eas"
    assert result["nnunet_eas"] == str(package / "__init__.py")
    assert result["variable"] == str(package / "lookup")
    assert result["module"].startswith("nnunet_eas.trainer")
    assert result["is_imported_class"]
    assert result["pickles"]


def test_found_from_an_editable_install(new_environment, checkout):
    install_editable(new_environment, checkout)
    result = new_environment.look_up()
    assert result["nnunet_eas"] == str(checkout / "nnunet_eas" / "__init__.py")
    assert result["variable"] == str(checkout / "nnunet_eas" / "lookup")
    assert result["is_imported_class"]
    assert result["pickles"]


@pytest.mark.parametrize("requirement", ["nnunetv2==2.8.0", "nnunetv2<3"], ids=["oldest", "newest"])
def test_found_with_nnunet(environment_without_nnunet, built, requirement):
    environment = environment_without_nnunet
    environment.pip("install", "--no-deps", requirement)
    environment.pip("install", "--no-deps", "--no-index", built["wheel"])
    result = environment.look_up()
    assert Path(result["nnunetv2"]).is_relative_to(environment.site_packages)
    assert result["is_imported_class"]


def test_found_where_nnunet_is_an_editable_checkout(environment_without_nnunet, built, tmp_path):
    environment = environment_without_nnunet
    environment.pip(
        "download", "--no-binary", "nnunetv2", "--no-deps", "--no-build-isolation", "-d", tmp_path, "nnunetv2<3"
    )
    (archive,) = tmp_path.glob("nnunetv2-*.tar.gz")
    shutil.unpack_archive(archive, tmp_path / "source")
    (nnunet_checkout,) = (tmp_path / "source").iterdir()
    environment.pip("install", "--no-deps", "--no-build-isolation", "-e", nnunet_checkout)
    environment.pip("install", "--no-deps", "--no-index", built["wheel"])
    result = environment.look_up()
    assert Path(result["nnunetv2"]).is_relative_to(nnunet_checkout)
    assert result["is_imported_class"]


def test_a_users_own_folder_stays_beside_ours(wheel_environment, tmp_path):
    (tmp_path / "my_trainers.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class MyTrainer(nnUNetTrainer):\n    pass\n",
        encoding="utf-8",
    )
    ours = str(wheel_environment.site_packages / "nnunet_eas" / "lookup")
    mine, eas = wheel_environment.look_up("MyTrainer", "EASUNetTrainer", nnUNet_extTrainer=str(tmp_path))
    assert mine["module"] == "my_trainers"
    assert mine["variable"] == str(tmp_path) + os.pathsep + ours
    assert eas["is_imported_class"]


def test_start_imports_and_prints_nothing_else(wheel_environment, new_environment):
    ask = "import sys; print(*sorted(sys.modules))"
    with_plugin = wheel_environment.run(wheel_environment.python, "-c", ask)
    without = new_environment.run(new_environment.python, "-c", ask)
    ours = set(with_plugin.stdout.split()) - set(without.stdout.split())
    assert ours == {"nnunet_eas", "nnunet_eas.startup"}
    assert with_plugin.stderr == ""


def test_child_processes_do_not_append_again(wheel_environment):
    grandchild = (
        "import os, subprocess, sys\n"
        "print(os.environ['nnUNet_extTrainer'], flush=True)\n"
        "depth = int(sys.argv[1])\n"
        "if depth:\n"
        "    subprocess.run([sys.executable, sys.argv[2], str(depth - 1), sys.argv[2]], check=True)\n"
    )
    script = wheel_environment.home / "child.py"
    script.write_text(grandchild, encoding="utf-8")
    completed = wheel_environment.run(wheel_environment.python, script, "2", script)
    assert completed.stdout.splitlines() == [str(wheel_environment.site_packages / "nnunet_eas" / "lookup")] * 3


def test_switch_off_variable_leaves_the_environment_alone(wheel_environment):
    ask = "import os; print(os.environ.get('nnUNet_extTrainer'))"
    off = {"NNUNET_EAS_NO_AUTOSTART": "1"}
    assert wheel_environment.run(wheel_environment.python, "-c", ask, **off).stdout.strip() == "None"
    mine = wheel_environment.run(wheel_environment.python, "-c", ask, nnUNet_extTrainer="/mine", **off)
    assert mine.stdout.strip() == "/mine"


def test_absent_plugin_gives_the_error_that_the_documentation_shows(new_environment):
    completed = new_environment.run(new_environment.python, "-c", LOOK_UP, "EASUNetTrainer", check=False)
    assert completed.returncode != 0
    assert NOT_FOUND in completed.stderr
    page = ROOT / "docs" / "how-to" / "solve-problems.md"
    assert NOT_FOUND in page.read_text(encoding="utf-8")


def test_inherited_by_an_environment_without_the_plugin(wheel_environment, new_environment, tmp_path):
    """A parent's variable reaches another environment: nnU-Net still finds trainers in the folders after ours."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my_trainers.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class MyTrainer(nnUNetTrainer):\n    pass\n",
        encoding="utf-8",
    )
    ours = wheel_environment.site_packages / "nnunet_eas" / "lookup"
    assert ours.is_dir()
    inherited = os.pathsep.join((str(ours), str(tmp_path / "mine")))
    assert new_environment.look_up("MyTrainer", nnUNet_extTrainer=inherited)["module"] == "my_trainers"


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_uninstalling_leaves_nothing(new_environment, built, checkout, kind):
    before = new_environment.entries()
    if kind == "wheel":
        new_environment.pip("install", "--no-deps", "--no-index", built["wheel"])
    else:
        install_editable(new_environment, checkout)
    assert (new_environment.site_packages / STARTUP_FILE).is_file()
    assert (new_environment.python.parent / "nnunet-eas").is_file()
    new_environment.run(new_environment.python, "-c", "pass")  # leaves its bytecode behind
    new_environment.pip("uninstall", "-y", "nnunet-eas")
    assert new_environment.entries() == before
    shell_has = "import os; print(os.environ.get('nnUNet_extTrainer'))"
    assert new_environment.run(new_environment.python, "-c", shell_has).stdout.strip() == "None"


def test_deleted_checkout_does_not_disturb_python(new_environment, checkout):
    install_editable(new_environment, checkout)
    shutil.rmtree(checkout)
    assert (new_environment.site_packages / STARTUP_FILE).is_file()
    completed = new_environment.run(new_environment.python, "-c", "print('works')")
    assert (completed.stdout, completed.stderr) == ("works\n", "")


def test_broken_package_does_not_disturb_python(new_environment, checkout):
    install_editable(new_environment, checkout)
    (checkout / "nnunet_eas" / "startup.py").write_text("raise OSError('broken')", encoding="utf-8")
    completed = new_environment.run(new_environment.python, "-c", "print('works')")
    assert (completed.stdout, completed.stderr) == ("works\n", "")


def test_commands_as_typed(wheel_environment):
    version = wheel_environment.run("nnunet-eas", "--version").stdout
    assert version == f"nnunet-eas {installed_version(wheel_environment)}\n"

    healthy = wheel_environment.run("nnunet-eas", "doctor", check=False)
    assert healthy.returncode == 0, healthy.stdout + healthy.stderr
    assert "problem  " not in healthy.stdout

    sick = wheel_environment.run("nnunet-eas", "doctor", check=False, NNUNET_EAS_NO_AUTOSTART="1")
    assert sick.returncode == 1
    assert "NNUNET_EAS_NO_AUTOSTART" in sick.stdout
    assert "Traceback" not in sick.stdout + sick.stderr


def installed_version(environment):
    (metadata_folder,) = environment.site_packages.glob("nnunet_eas-*.dist-info")
    return metadata_folder.name.removesuffix(".dist-info").split("-")[1]

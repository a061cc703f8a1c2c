"""The registration with nnU-Net in this process; test_install.py tests the installed start-up file."""

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import nnunet_eas
from nnunet_eas import startup

SHIM = Path(startup.LOOKUP_FOLDER) / "nnunet_eas_trainers.py"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    monkeypatch.delenv("nnUNet_extTrainer", raising=False)
    monkeypatch.delenv("NNUNET_EAS_NO_AUTOSTART", raising=False)


def test_lookup_folder_lies_in_the_package_and_holds_one_module_only():
    assert Path(startup.LOOKUP_FOLDER) == Path(nnunet_eas.__file__).resolve().parent / "lookup"
    assert [path for path in Path(startup.LOOKUP_FOLDER).iterdir() if path.name != "__pycache__"] == [SHIM]


def test_nothing_set_gives_our_folder_alone():
    startup.register()
    assert os.environ["nnUNet_extTrainer"] == startup.LOOKUP_FOLDER
    assert startup.is_registered()


@pytest.mark.parametrize("user_value", ["/a", os.pathsep.join(["/a", "/b c"]), "relative", "/a" + os.pathsep])
def test_user_value_is_kept_and_comes_first(monkeypatch, user_value):
    monkeypatch.setenv("nnUNet_extTrainer", user_value)
    startup.register()
    assert os.environ["nnUNet_extTrainer"] == user_value + os.pathsep + startup.LOOKUP_FOLDER


def test_empty_user_value_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("nnUNet_extTrainer", "")
    startup.register()
    assert os.environ["nnUNet_extTrainer"] == startup.LOOKUP_FOLDER


@pytest.mark.parametrize("ending", ["", os.sep, os.sep + "."])
def test_never_appended_twice(monkeypatch, ending):
    value = os.pathsep.join([startup.LOOKUP_FOLDER + ending, "/a"])
    monkeypatch.setenv("nnUNet_extTrainer", value)
    startup.register()
    startup.register()
    assert os.environ["nnUNet_extTrainer"] == value


def test_a_folder_that_only_begins_like_ours_is_another_one(monkeypatch):
    monkeypatch.setenv("nnUNet_extTrainer", startup.LOOKUP_FOLDER + "_mine")
    assert not startup.is_registered()


@pytest.mark.parametrize(("value", "is_off"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_switch_off_variable(monkeypatch, value, is_off):
    monkeypatch.setenv("NNUNET_EAS_NO_AUTOSTART", value)
    startup.register()
    assert startup.is_switched_off() is is_off
    assert ("nnUNet_extTrainer" in os.environ) is not is_off


def test_prints_nothing(capfd):
    startup.register()
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_every_start_of_python_imports_nothing_else():
    code = (
        "import sys\n"
        "for name in [name for name in sys.modules if name.startswith('nnunet_eas')]: del sys.modules[name]\n"
        "before = set(sys.modules)\n"
        "import nnunet_eas.startup\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.split() == ["nnunet_eas", "nnunet_eas.startup"]


class MissingModule:
    """An importer that makes one module, and what lies below it, missing."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name or fullname.startswith(self.name + "."):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def hide(monkeypatch, name):
    for loaded in [module for module in sys.modules if module == name or module.startswith(name + ".")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(sys, "meta_path", [MissingModule(name), *sys.meta_path])


def test_shim_offers_nothing_where_the_package_is_absent(monkeypatch):
    hide(monkeypatch, "nnunet_eas")
    assert importlib.util.find_spec("os")  # the importer hides only ours
    names = runpy.run_path(str(SHIM))
    assert not [name for name in names if name.startswith("EASUNet")]


def test_shim_shows_a_dependency_that_is_missing(monkeypatch):
    hide(monkeypatch, "nnunet_eas.trainer")
    with pytest.raises(ModuleNotFoundError, match=r"nnunet_eas\.trainer"):
        runpy.run_path(str(SHIM))


def test_shim_hands_out_the_installed_classes():
    trainer = importlib.import_module("nnunet_eas.trainer")
    names = runpy.run_path(str(SHIM))
    assert {"EASUNetTrainer", "EASUNetTrainer_paper"} <= set(trainer.__all__)
    for name in trainer.__all__:
        assert names[name] is getattr(trainer, name)

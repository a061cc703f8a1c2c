"""The doctor's findings about a faulty installation, and a remedy for every problem."""

import os
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nnunet_eas import startup
from nnunet_eas.cli import doctor

FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@pytest.fixture(autouse=True)
def healthy(monkeypatch, tmp_path):
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("nnUNet_n_proc_DA", "nnUNet_def_n_proc", "nnUNet_compile", "NNUNET_EAS_NO_AUTOSTART"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("nnUNet_extTrainer", startup.LOOKUP_FOLDER)


def problems(check):
    found = [finding for finding in check() if finding.level != "ok"]
    assert all(finding.remedy for finding in found)
    assert all("\n" not in finding.remedy for finding in found)
    return [(finding.level, finding.text) for finding in found]


class FakeDistribution:
    def __init__(self, version, requires=(), python=">=3.10"):
        self.version = version
        self.requires = list(requires)
        self.metadata = {"Requires-Python": python}


@pytest.fixture
def installed(monkeypatch):
    """A table of installed distributions that a test may change."""
    table = {
        "nnunet-eas": FakeDistribution("0.1.0", ["nnunetv2<3,>=2.8", "torch", 'pytest; extra == "test"']),
        "nnunetv2": FakeDistribution("2.8.1", ["torch!=2.9.*,>=2.1.2", "dynamic-network-architectures<0.5,>=0.4.4"]),
        "dynamic-network-architectures": FakeDistribution("0.4.4"),
        "torch": FakeDistribution("2.10.0+cu130"),
    }

    def distribution(name):
        if name not in table:
            raise metadata.PackageNotFoundError(name)
        return table[name]

    monkeypatch.setattr(doctor.metadata, "distribution", distribution)
    return table


def test_supported_versions_are_fine(installed):
    assert problems(doctor.check_versions) == []


@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        ("nnunetv2", "2.7.0", ">=2.8"),
        ("nnunetv2", "3.0", "<3"),
        ("torch", "2.9.1", "!=2.9.*"),
        ("dynamic-network-architectures", "0.4.3", ">=0.4.4"),
    ],
)
def test_unsupported_version(installed, name, version, wanted):
    installed[name].version = version
    ((level, text),) = problems(doctor.check_versions)
    assert level == "problem"
    assert text.startswith(f"{name} {version} ")
    assert wanted in text


def test_missing_package_and_unsupported_python(installed):
    del installed["nnunetv2"]
    installed["nnunet-eas"].metadata["Requires-Python"] = ">=99"
    assert [text.split()[0] for _, text in problems(doctor.check_versions)] == ["python", "nnunetv2"]


def test_folders(monkeypatch, tmp_path):
    assert problems(doctor.check_folders) == []
    monkeypatch.delenv("nnUNet_raw")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "missing"))
    assert problems(doctor.check_folders) == [
        ("warning", "nnUNet_raw is not set"),
        ("problem", f"nnUNet_preprocessed={tmp_path / 'missing'} is not a folder"),
    ]


def test_a_trainer_folder_that_is_not_there(monkeypatch, tmp_path):
    folders = os.pathsep.join((str(tmp_path / "gone"), startup.LOOKUP_FOLDER))
    monkeypatch.setenv("nnUNet_extTrainer", folders)
    assert ("warning", f"nnUNet_extTrainer names {tmp_path / 'gone'}, which is no folder") in problems(
        doctor.check_lookup
    )


def test_read_only_folders(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda folder, mode: False)
    assert [level for level, _ in problems(doctor.check_folders)] == ["warning", "problem", "problem"]


def test_look_up_finds_the_installed_class():
    assert problems(doctor.check_lookup) == []


def test_look_up_without_our_folder(monkeypatch):
    monkeypatch.delenv("nnUNet_extTrainer")
    texts = [text for _, text in problems(doctor.check_lookup)]
    assert len(texts) == 2
    assert "lacks" in texts[0]
    assert "Could not find requested nnunet trainer EASUNetTrainer" in texts[1]


def test_look_up_when_switched_off(monkeypatch):
    monkeypatch.setenv("NNUNET_EAS_NO_AUTOSTART", "1")
    ((level, text),) = problems(doctor.check_lookup)
    assert level == "warning"
    assert "NNUNET_EAS_NO_AUTOSTART" in text


def test_look_up_with_another_trainer_of_our_name_in_front(monkeypatch, tmp_path):
    (tmp_path / "impostor.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class EASUNetTrainer(nnUNetTrainer):\n    pass\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("nnUNet_extTrainer", os.pathsep.join((str(tmp_path), startup.LOOKUP_FOLDER)))
    ((level, text),) = problems(doctor.check_lookup)
    assert level == "problem"
    assert text.endswith("from module impostor")


def test_look_up_with_a_folder_of_the_user_that_does_not_import(monkeypatch, tmp_path):
    (tmp_path / "broken.py").write_text("raise OSError('the disk is away')", encoding="utf-8")
    monkeypatch.setenv("nnUNet_extTrainer", os.pathsep.join((str(tmp_path), startup.LOOKUP_FOLDER)))
    ((level, text),) = problems(doctor.check_lookup)
    assert level == "problem"
    assert text.endswith("OSError: the disk is away")


def test_missing_start_up_file(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "files", lambda name: [Path("nnunet_eas/__init__.py")])
    ((level, text),) = problems(doctor.check_lookup)
    assert level == "problem"
    assert text.startswith("start-up registration")


def cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=24 * 2**30))


def test_cpu_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    ((level, text),) = problems(doctor.check_device)
    assert level == "warning"
    assert "cpu" in text


@pytest.mark.parametrize(("setting", "does"), [(None, True), ("1", True), ("0", False), ("false", False)])
def test_compile_follows_nnunets_rule_on_cuda(monkeypatch, setting, does):
    cuda(monkeypatch)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: name)
    if setting is not None:
        monkeypatch.setenv("nnUNet_compile", setting)
    device, compiling = [finding.text for finding in doctor.check_device()]
    assert device == "device: cuda, a GPU, 24 GiB"
    assert ("does not compile" not in compiling) is does


def test_compile_without_a_compiler(monkeypatch):
    cuda(monkeypatch)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    ((level, text),) = problems(doctor.check_device)
    assert level == "warning"
    assert "C compiler" in text


def test_workers(monkeypatch):
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 16)
    assert problems(doctor.check_workers) == []
    monkeypatch.setenv("nnUNet_n_proc_DA", "many")
    monkeypatch.setenv("nnUNet_def_n_proc", "17")
    (bad, bad_text), (much, much_text) = problems(doctor.check_workers)
    assert (bad, much) == ("problem", "warning")
    assert "'many'" in bad_text
    assert "17 process(es)" in much_text


@pytest.mark.parametrize(
    ("load", "variables", "warns"),
    [
        (0.2, {}, False),
        (1.0, {}, True),
        (1.0, {"OMP_WAIT_POLICY": "passive"}, False),
        (1.0, {"OMP_NUM_THREADS": "1"}, False),
        (1.0, {"OMP_NUM_THREADS": "2"}, True),
    ],
)
def test_a_busy_machine(monkeypatch, load, variables, warns):
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    found = list(doctor.check_load())
    assert [finding.level for finding in found] == ["warning" if warns else "ok"]
    assert ("OMP_WAIT_POLICY=PASSIVE" in found[0].remedy and "OMP_NUM_THREADS=1" in found[0].remedy) is warns


def test_a_system_that_does_not_tell_its_load(monkeypatch):
    monkeypatch.delattr(doctor.os, "getloadavg", raising=False)
    assert list(doctor.check_load()) == []


def test_status_and_summary(monkeypatch, capsys):
    fine = doctor.Finding("ok", "good")
    warn = doctor.Finding("warning", "so so", "do this")
    bad = doctor.Finding("problem", "bad", "do that")
    monkeypatch.setattr(doctor, "check_load", lambda: [])
    for name in ("check_versions", "check_folders", "check_lookup", "check_device"):
        monkeypatch.setattr(doctor, name, lambda: [fine, warn])
    monkeypatch.setattr(doctor, "check_workers", lambda: [fine])
    assert doctor.run(None) == 0
    assert capsys.readouterr().out.endswith("0 problem(s), 4 warning(s)\n")
    monkeypatch.setattr(doctor, "check_workers", lambda: [bad])
    assert doctor.run(None) == 1
    assert capsys.readouterr().out.endswith("problem  bad\n         -> do that\n1 problem(s), 4 warning(s)\n")


@pytest.mark.parametrize("variable", ["NNUNET_EAS_LAYOUT", "NNUNET_EAS_DEPTHWISE"])
def test_a_choice_that_does_not_exist(monkeypatch, variable):
    monkeypatch.setenv(variable, "fastest")
    (text,) = [text for level, text in problems(doctor.check_device) if level == "problem"]
    assert text.startswith(f"{variable} must be one of ")
    assert text.endswith("got fastest")

"""Every script of the benchmarks prints its help, and the shell scripts give options that the scripts have."""

import json
import os
import runpy
import subprocess
import sys

import pytest

from benchmarks import gpu_check
from benchmarks.commands import ROOT

FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if "if __name__" in path.read_text(encoding="utf-8")
)
RECORDER = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


def print_help(module, monkeypatch):
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0


@pytest.mark.parametrize("module", SCRIPTS)
def test_help(module, monkeypatch, capsys):
    print_help(module, monkeypatch)
    text = capsys.readouterr().out
    assert text.startswith("usage: ")
    assert f"python -m {module}" in text  # the example in the docstring


def assert_known(module, options, monkeypatch, capsys):
    print_help(module, monkeypatch)
    text = capsys.readouterr().out
    assert {option for option in options if option.startswith("--")} <= set(text.replace(",", " ").split())


def test_options_of_evidence(tmp_path, monkeypatch, capsys):
    (tmp_path / "python").write_text(RECORDER)
    (tmp_path / "python").chmod(0o755)
    dataset, record = tmp_path / "Dataset004_Hippocampus", tmp_path / "record"
    dataset.mkdir()
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "RECORD": str(record)}
    arguments = [str(FOLDER / "evidence.sh"), str(dataset), str(tmp_path / "work")]
    done = subprocess.run(["bash", *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    calls = [arguments[1:] for arguments in calls if arguments[:1] == ["-m"] and arguments[1].startswith("benchmarks")]
    assert len(calls) > 8
    for module, *options in calls:
        assert_known(module, options, monkeypatch, capsys)


@pytest.mark.parametrize("rehearse", [True, False])
def test_options_of_the_gpu_check(rehearse, tmp_path, monkeypatch, capsys):
    commands = [command for step in gpu_check.steps(tmp_path, rehearse).values() for command in step]
    benchmarks = [command for command in commands if command[2:3] and command[2].startswith("benchmarks.")]
    for module, options in {command[2]: command[3:] for command in benchmarks}.items():
        assert_known(module, options, monkeypatch, capsys)
    assert len(benchmarks) > 8


def test_the_look_up_has_one_file():
    assert [path.name for path in (FOLDER / "trainers" / "lookup").glob("*.py")] == ["trainers.py"]

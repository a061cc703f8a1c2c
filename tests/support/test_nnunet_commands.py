import os
import sys

import pytest

from nnunet_eas.support import nnunet_commands
from nnunet_eas.support.nnunet_commands import call, command_line, last_line, run_command


@pytest.fixture
def command(monkeypatch):
    """`command CODE` runs Python code in place of a console script."""
    monkeypatch.setattr(nnunet_commands, "command_line", lambda name, code: [sys.executable, "-c", code])


def test_a_script_of_this_environment_is_found_without_the_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert os.access(command_line("nnUNetv2_train", "4")[0], os.X_OK)
    assert command_line("nnUNetv2_train", "4")[1:] == ["4"]


def test_a_command_without_a_script_is_called_by_its_function(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    python, _, code, argument = command_line("nnUNetv2_train", "4")
    assert (python, argument) == (str(tmp_path / "python"), "4")
    assert "import run_training_entry as run; run()" in code


def test_a_command_that_nobody_has_is_an_error():
    with pytest.raises(FileNotFoundError, match="got none named nnUNetv3_train"):
        command_line("nnUNetv3_train")


@pytest.mark.usefixtures("command")
def test_the_log_has_the_command_and_its_output(tmp_path):
    lines = []
    log = tmp_path / "logs" / "log.txt"
    assert run_command(["name", "print('a'); print(); print('b')"], log, on_line=lines.append) == 0
    assert lines == ["a", "b"]
    assert log.read_text() == "$ name print('a'); print(); print('b')\na\n\nb\n"
    assert run_command(["name", "import sys; print('c'); sys.exit(3)"], log) == 3
    assert log.read_text().endswith("\nc\n")


@pytest.mark.usefixtures("command")
def test_an_error_has_the_last_line_of_the_output(tmp_path):
    with pytest.raises(RuntimeError, match=r"name must succeed, got status 1: ValueError: no such plan. See .*log.txt"):
        call(["name", "raise ValueError('no such plan')"], tmp_path / "log.txt")


@pytest.mark.usefixtures("command")
def test_an_interruption_ends_the_command(tmp_path):
    processes = []

    def interrupt(line):
        raise KeyboardInterrupt

    code = "import time; print('begun', flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        run_command(["name", code], tmp_path / "log.txt", on_line=interrupt, started=processes.append)
    assert processes[0].poll() is not None


def test_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("first\nlast\n\n  \n")
    assert last_line(log) == "last"
    log.write_text("x" * 10_000)
    assert last_line(log) == "x" * 300
    log.write_text("")
    assert last_line(log) == ""

"""The command line: dispatch, exit status, form of the errors."""

import subprocess
import sys

import pytest

import nnunet_eas
from nnunet_eas.cli import main as cli
from nnunet_eas.support.errors import PartialSuccess

PLAN_COMMANDS = ("plan_experiment", "plan_and_preprocess", "plan_info")


def raising(error):
    def run(args):
        raise error

    return run


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["--version"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"nnunet-eas {nnunet_eas.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["doctor", "--nonsense"]])
def test_wrong_usage_exits_with_2(argv, capsys):
    with pytest.raises(SystemExit) as exit_info:
        cli.main(argv)
    assert exit_info.value.code == 2
    assert "usage: nnunet-eas" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_is_offered_under_its_name_and_its_status_is_returned(monkeypatch, name):
    monkeypatch.setattr(cli.COMMANDS[name], "run", lambda args: 7 if args.command == name else 0)
    evaluate = ["-pred", "PRED", "-o", "OUT.json"]
    report = ["MODEL", "-o", "OUT.html"]
    arguments = {
        "convert": ["verify", "FOLDER"],
        "evaluate": evaluate,
        "report": report,
        "export": ["MODEL", "--to", "onnx", "-o", "OUT"],
        "pack": ["MODEL", "-o", "FILE"],
        "unpack": ["FILE", "-o", "DIR"],
        "inspect": ["FILE"],
        "crossval": ["-d", "4", "-c", "2d"],
        "status": ["-d", "4"],
        "predict-best": ["-d", "4", "-i", "SCANS", "-o", "MASKS"],
        "quantify": ["MASKS", "-o", "OUT.csv"],
        "predict": ["-i", "SCANS", "-o", "MASKS", "-m", "MODEL"],
        **{plan: ["-d", "4"] for plan in PLAN_COMMANDS},
    }
    assert cli.main([name, *arguments.get(name, [])]) == 7


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x must y"),
        FileNotFoundError("no file"),
        RuntimeError("no GPU"),
        PartialSuccess("2 of 3 cases were left out", result=[1], faults={"a": "empty", "b": "empty"}),
    ],
)
def test_expected_error_is_one_line_without_traceback(monkeypatch, capsys, error):
    monkeypatch.setattr(cli.COMMANDS["doctor"], "run", raising(error))
    assert cli.main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {error}\n"


def test_debug_shows_the_traceback(monkeypatch, capsys):
    monkeypatch.setattr(cli.COMMANDS["doctor"], "run", raising(ValueError("x must y")))
    assert cli.main(["--debug", "doctor"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(cli.COMMANDS["doctor"], "run", raising(KeyError("bug")))
    with pytest.raises(KeyError):
        cli.main(["doctor"])


def test_interruption(monkeypatch, capsys):
    monkeypatch.setattr(cli.COMMANDS["doctor"], "run", raising(KeyboardInterrupt()))
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err.startswith("interrupted")


def test_typing_a_command_imports_nothing_heavy():
    code = "import sys, nnunet_eas.cli.main as m; m.build_parser(); print(*sys.modules)"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "nnunetv2", "numpy", "matplotlib", "SimpleITK"} & set(completed.stdout.split())

"""Model folders and the command for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from reporting.model_folders import DATASET, MODELS, write_data, write_model

from nnunet_eas.cli import main as cli


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The two models' folders; their dataset's folders are where nnU-Net's variables say."""
    write_data(tmp_path)
    folders = []
    for name, offsets in MODELS.items():
        folders.append(tmp_path / "results" / DATASET / name)
        write_model(folders[-1], offsets)
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    monkeypatch.chdir(tmp_path)
    return folders


@pytest.fixture
def run(capsys):
    """Runs the command; status, the page if there is one, what was printed."""

    def run(*args):
        Path("out.html").unlink(missing_ok=True)
        status = cli.main(["report", *map(str, args), "-o", "out.html", "--workers", "1"])
        captured = capsys.readouterr()
        page = Path("out.html").read_text(encoding="utf-8") if Path("out.html").is_file() else None
        return status, page, captured.out, captured.err

    return run

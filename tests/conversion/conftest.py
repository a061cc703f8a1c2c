"""Archives of small phantom knees, and the command that converts them."""

from __future__ import annotations

from functools import cache

import pytest

from nnunet_eas.cli import main as cli
from nnunet_eas.phantom import knee


@pytest.fixture(scope="session", autouse=True)
def drawn_once():
    """Drawing takes longer than writing; the same knee is asked for again and again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnunet_eas.phantom_archive.case.knee", cache(knee))
        yield


@pytest.fixture
def convert(capsys):
    """Runs `nnunet-eas convert`; the status and what was printed."""

    def run(*args):
        capsys.readouterr()
        status = cli.main(["convert", *[str(a) for a in args], "--workers", "1"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run

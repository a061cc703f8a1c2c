"""The table of provenance: every committed result is in it, and equivalent sources share their results."""

import json
import subprocess
import sys

import pytest
from runner_results import CODE, result, results

from benchmarks.commands import ROOT
from benchmarks.compare import provenance, record_sources, result_files
from benchmarks.compare.tables import tables

RESULTS = ROOT / "benchmarks" / "results"
OLD, NEW, OTHER = CODE["sources"], "1" * 16, "2" * 16


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of its own, in which NEW counts as OLD."""
    monkeypatch.setattr(provenance, "TABLE", tmp_path / "provenance.json")
    rows = [
        {"fingerprint": OLD, "networks": ["eas"], "commit": "a"},
        {"fingerprint": NEW, "networks": ["eas"], "commit": "b", "counts_as": OLD},
    ]
    record_sources.write({"sources": rows, "results": []})


def with_sources(sources):
    return {**CODE, "sources": sources}


class TestCommitted:
    def test_sources_of_every_result(self):
        known = {row["fingerprint"] for row in provenance.read()["sources"]}
        files = list(RESULTS.glob("runs*/*/*.json"))
        assert len(files) > 100
        assert {json.loads(path.read_text())["recipe"]["code"]["sources"] for path in files} <= known

    def test_every_fingerprint_counts_as_an_original(self):
        rows = {row["fingerprint"]: row for row in provenance.read()["sources"]}
        assert all("counts_as" not in rows[row["counts_as"]] for row in rows.values() if "counts_as" in row)

    def test_every_file_has_a_row(self):
        patterns = [pattern for row in provenance.read()["results"] for pattern in row["files"]]
        listed = {path for pattern in patterns for path in RESULTS.glob(pattern)}
        assert {path for path in RESULTS.iterdir() if path.suffix != ".png" and path != provenance.TABLE} <= listed
        assert all(list(RESULTS.glob(pattern)) for pattern in patterns)

    def test_a_row_is_a_line(self):
        table = provenance.read()
        lines = provenance.TABLE.read_text().splitlines()
        assert len(lines) == sum(map(len, table.values())) + 2 * len(table) + 2


class TestEquivalentSources:
    def test_originals(self, table):
        assert [provenance.original(sources) for sources in (OLD, NEW, OTHER)] == [OLD, OLD, OTHER]
        assert provenance.equivalents(OLD) == [OLD, NEW]
        assert provenance.equivalents(OTHER) == [OTHER]

    @pytest.mark.parametrize(("sources", "found"), [(OLD, True), (NEW, True), (OTHER, False)])
    def test_the_runner_finds_a_result(self, table, tmp_path, sources, found):
        written = result("eas", 0, 0, code=with_sources(sources))
        result_files.write(tmp_path, written)
        assert (result_files.find(tmp_path, result("eas", 0, 0)["recipe"]) is not None) == found

    def test_they_are_compared_as_one_network(self, table, tmp_path):
        for one in [*results("default"), result("eas", 0, 0), result("eas", 1, 0, code=with_sources(NEW))]:
            result_files.write(tmp_path, one)
        read, _ = result_files.read_all(tmp_path)
        (found,), faults = tables(read, "default", ("default", "eas"))
        assert (faults, found["networks"]["eas"]["folds"]) == ([], {"0": [0, 1]})

    def test_others_are_not(self, table, tmp_path):
        for one in [*results("default"), result("eas", 0, 0), result("eas", 1, 0, code=with_sources(OTHER))]:
            result_files.write(tmp_path, one)
        read, _ = result_files.read_all(tmp_path)
        (found,), _ = tables(read, "default", ("default", "eas"))
        assert "eas" not in found["networks"]


class TestRecording:
    @pytest.fixture
    def record(self, table, monkeypatch):
        monkeypatch.setattr(record_sources, "current", lambda: {NEW: ["eas"], OTHER: ["eas", "paper_strided"]})

        def run(*args):
            monkeypatch.setattr(sys, "argv", ["record_sources", *args])
            return record_sources.main(), provenance.read()["sources"]

        return run

    def test_showing_adds_nothing(self, record, capsys):
        status, rows = record()
        assert (status, len(rows)) == (1, 2)
        assert capsys.readouterr().out.splitlines() == [
            f"{NEW} known, counts as {OLD}: eas",
            f"{OTHER} new: eas, paper_strided",
        ]

    @pytest.mark.parametrize(("add", "original"), [("same", OLD), ("different", OTHER)])
    def test_adding(self, record, add, original):
        status, rows = record("--add", add, "--commit", "c")
        assert (status, len(rows), rows[-1]["commit"]) == (0, 3, "c")
        assert provenance.original(OTHER) == original
        assert record()[0] == 0

    def test_the_commit_is_head(self, record):
        head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        if head.returncode:
            pytest.skip("the sources are not in a Git repository")
        assert record("--add", "same")[1][-1]["commit"] == head.stdout.strip()

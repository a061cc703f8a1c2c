"""Results of single cases that an interrupted command kept."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nnunet_eas.support.kept_results import KeptResults
from nnunet_eas.support.parallel import all_results


@dataclass(frozen=True)
class Found:
    rows: list[dict[str, Any]] = field(default_factory=list)


RESULT = Found([{"case": "a", "mm": 0.25, "none": None, "nan": math.nan, "label": 2}])


@pytest.fixture
def masks(tmp_path):
    files = [tmp_path / f"{name}.nii.gz" for name in "abc"]
    for file in files:
        file.write_bytes(file.name.encode())
    return files


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".partial_table.jsonl"


def test_what_was_added_is_known_to_the_next(path, masks):
    KeptResults(path, Found, "labels").add(masks[:1], RESULT)
    kept = KeptResults(path, Found, "labels")
    assert repr(kept.get(masks[:1])) == repr(RESULT)  # NaN is not equal to NaN
    assert kept.get(masks[1:2]) is None


def test_other_arguments_or_another_file_know_nothing(path, masks):
    KeptResults(path, Found, "labels").add(masks[:1], RESULT)
    assert KeptResults(path, Found, "other labels").get(masks[:1]) is None
    masks[0].write_bytes(b"changed")
    assert KeptResults(path, Found, "labels").get(masks[:1]) is None


@pytest.mark.parametrize("damage", ['["half', "[]", "3", '["key", {"other": 1}]', '["key", 3]', "\x00"])
def test_damaged_lines_count_as_nothing(path, masks, damage):
    path.write_text(damage)
    KeptResults(path, Found).add(masks[:1], RESULT)
    assert repr(KeptResults(path, Found).get(masks[:1])) == repr(RESULT)


def test_a_file_that_is_no_text(path, masks):
    path.write_bytes(b"\xff\xfe\xff")
    assert KeptResults(path, Found).get(masks[:1]) is None


@pytest.mark.parametrize("files", [["an image in memory"], [Path("missing.nii.gz")]])
def test_what_has_no_file_is_not_kept(path, files):
    kept = KeptResults(path, Found)
    kept.add(files, RESULT)
    assert kept.get(files) is None
    assert not path.exists()


def test_without_a_file_nothing_is_kept(masks):
    kept = KeptResults(None, Found)
    kept.add(masks, RESULT)
    assert kept.get(masks) is None


def test_an_interrupted_command_goes_on(path, masks):
    called = []

    def measure(file):
        if file.name.startswith("c") and len(called) == 2:
            raise KeyboardInterrupt
        called.append(file.name)
        return Found([{"name": file.name}])

    def run():
        kept = KeptResults(path, Found)
        return all_results(
            measure,
            masks,
            workers=1,
            description="",
            progress=False,
            known=lambda file: kept.get([file]),
            keep=lambda file, found: kept.add([file], found),
        )

    with pytest.raises(KeyboardInterrupt):
        run()
    called.append("again")
    assert [found.rows[0]["name"] for found in run()] == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert called == ["a.nii.gz", "b.nii.gz", "again", "c.nii.gz"]

import os

import pytest

from nnunet_eas.support.outputs import check_output_file, check_output_folder
from nnunet_eas.support.parallel import all_results, check_workers


def test_a_file_s_folder_is_made(tmp_path):
    check_output_file(tmp_path / "new" / "folder" / "out.json", "-o")
    assert [path.name for path in (tmp_path / "new").rglob("*")] == ["folder"]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"-o must be a file, got the folder .* Give a name in it"):
        check_output_file(tmp_path, "-o")


def test_folders_that_can_t_be_used(tmp_path, monkeypatch):
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(OSError, match=r"maps must lead to a folder, got .*file.txt: File exists. Give another"):
        check_output_folder(tmp_path / "file.txt", "maps")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="maps must lead to a writable folder, got "):
        check_output_folder(tmp_path / "closed", "maps")


def test_results_are_in_the_jobs_order():
    jobs = ["ccc", "a", "bb"]
    assert all_results(len, jobs, workers=2, description="measuring", progress=False) == [3, 1, 2]
    assert all_results(len, [], workers=1, description="measuring", progress=False) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_there_must_be_a_worker(workers):
    with pytest.raises(ValueError, match=f"workers must be at least 1, got {workers}"):
        check_workers(workers)

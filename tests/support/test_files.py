import json
import math

import pytest

from nnunet_eas.support import files


def test_what_was_written_gets_the_name(tmp_path):
    path = tmp_path / "picture.png"
    with files.replacing(path) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write():
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_has_unix_line_ends(tmp_path):
    files.write_text(tmp_path / "text", "µm\nmm\n")
    assert (tmp_path / "text").read_bytes() == "µm\nmm\n".encode()


def test_json_is_strict(tmp_path):
    files.write_json(tmp_path / "content.json", {"dice": 0.5})
    assert json.loads((tmp_path / "content.json").read_text()) == {"dice": 0.5}
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "content.json", {"dice": math.nan})
    assert files.read_json(tmp_path / "content.json", "-o") == {"dice": 0.5}


def test_json_that_is_absent_or_damaged_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"-djfile must be a file, got .*nothing.json"):
        files.read_json(tmp_path / "nothing.json", "-djfile")
    (tmp_path / "half.json").write_text('{"labels": ')
    with pytest.raises(ValueError, match=r"-djfile must be whole JSON, got .*half.json"):
        files.read_json(tmp_path / "half.json", "-djfile")

"""postprocessing.pkl: nnU-Net's is read, and nothing else."""

import os
import pickle

import numpy as np
import pytest
from batchgenerators.utilities.file_and_folder_operations import load_pickle, save_pickle
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation

from nnunet_eas.sharing.postprocessing import from_json, to_json
from nnunet_eas.support.safe_pickle import read_postprocessing, write_postprocessing

KEEP = remove_all_but_largest_component_from_segmentation
SOUND = [
    ([], []),
    ([KEEP], [{"labels_or_regions": [1, 2, 3]}]),
    ([KEEP, KEEP], [{"labels_or_regions": [1, (1, 2)]}, {"labels_or_regions": (2, 3), "background_label": 0}]),
    ([KEEP], [{"labels_or_regions": 2}]),
]


@pytest.mark.parametrize("postprocessing", SOUND)
def test_nnunets_own(tmp_path, postprocessing):
    save_pickle(postprocessing, str(tmp_path / "a.pkl"))
    assert read_postprocessing(tmp_path / "a.pkl") == postprocessing
    assert from_json(to_json(postprocessing)) == postprocessing
    write_postprocessing(tmp_path / "b.pkl", postprocessing)
    assert load_pickle(str(tmp_path / "b.pkl")) == postprocessing


@pytest.mark.parametrize("core", [b"core", b"_core"])
def test_numbers_of_numpy(tmp_path, core):
    """As versions 1 and 2 write them; in protocol 3 names have no length in front of them."""
    content = pickle.dumps(([KEEP], [{"labels_or_regions": [np.int64(1), np.int32(2)]}]), 3)
    content = content.replace(b"numpy._core.", b"numpy." + core + b".").replace(b"numpy.core.", b"numpy." + core + b".")
    (tmp_path / "a.pkl").write_bytes(content)
    ((function,), (keywords,)) = read_postprocessing(tmp_path / "a.pkl")
    assert function is KEEP
    assert [type(label) for label in keywords["labels_or_regions"]] == [int, int]
    assert keywords["labels_or_regions"] == [1, 2]


class Calling:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Calling(os.mkdir, ("made",))), r"would load 'posix\.mkdir'"),
        (pickle.dumps(([Calling(eval, ("1",))], [{}])), r"would load '.*\.eval'"),
        (pickle.dumps(([Calling(KEEP, (np.int64(0), 1))], [{}])), "not callable"),
        (pickle.dumps(([os.path.join], [{}])), r"would load 'posixpath\.join'"),
        (pickle.dumps(([KEEP], [{"labels_or_regions": np.zeros(3)}])), r"would load 'numpy.*_reconstruct'"),
        (pickle.dumps(([KEEP], [{"labels_or_regions": "1"}])), "arguments that are no labels"),
        (pickle.dumps(([KEEP], [{"labels_or_regions": 1.5}])), "arguments that are no labels"),
        (pickle.dumps(([KEEP], [{"segmentation": 1}])), "other arguments than labels_or_regions, background_label"),
        (pickle.dumps(([KEEP], [])), "1 functions with 0 sets of arguments"),
        (pickle.dumps((["keep"], [{}])), "no attribute 'name'"),
        (pickle.dumps({}), "not enough values"),
        (pickle.dumps(7), "unpack"),
        (b"", "pickle exhausted"),
        (b"\x80\x04]r\xff\xff\xff\xff.", "it asks for 4294967295 places in memory"),
        (b"]p4294967295\n.", "it asks for 4294967295 places in memory"),
        (pickle.dumps(([KEEP], [{"labels_or_regions": [1] * 2**20}])), "more than 1048576 bytes"),
        (b"x" * 100, "opcode"),
    ],
)
def test_anything_else_is_refused(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=rf"The postprocessing must hold .* got .*a\.pkl \(.*{message}") as caught:
        read_postprocessing(tmp_path / "a.pkl")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkl"]


def test_nnunets_function_cannot_be_changed(tmp_path):
    before = KEEP.__defaults__
    whole = f"{KEEP.__module__}\n{KEEP.__qualname__}\n".encode()
    state = pickle.dumps((None, {"__defaults__": (5,)}), 0)[:-1]
    setting = b"c" + whole + state + b"b."
    assert pickle.loads(setting) is KEEP
    assert KEEP.__defaults__ == (5,), "Python's own unpickler changes it"
    KEEP.__defaults__ = before
    (tmp_path / "a.pkl").write_bytes(setting)
    with pytest.raises(ValueError, match="must hold nnU-Net's functions"):
        read_postprocessing(tmp_path / "a.pkl")
    assert KEEP.__defaults__ == before


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="postprocessing must be a file, got"):
        read_postprocessing(tmp_path / "a.pkl")

"""Names in pickles, found without loading them."""

import collections
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_eas.support.pickle_names import HARMLESS, names_in


class Runs:
    def __reduce__(self):
        return os.system, ("echo never",)


@pytest.mark.parametrize("protocol", range(6))
def test_what_would_run_is_found(protocol):
    content = pickle.dumps({"a": Runs(), "b": [1, Runs()], "posix": ("system", "posix")}, protocol=protocol)
    assert {"posix.system", "nt.system"} & names_in(content)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_properties_of_cases_name_harmless_things(protocol):
    content = {"spacing": [np.float64(0.5), 2.0], "shape": np.array([3, 4]), "more": collections.OrderedDict(a=(1, 2))}
    assert names_in(pickle.dumps(content, protocol=protocol)) <= HARMLESS


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x8c\x05posix\x8c\x06system\x8c\x05numpy\x8c\x05dtype00\x93.",  # the last two strings are taken away
        b"\x80\x04\x8c\x05posix\x8c\x06system(\x8c\x05numpy\x8c\x05dtype1\x93.",
        b"\x80\x04N\x8c\x06system\x93.",
        b"\x80\x02\x82\x01.",  # of the extension registry
    ],
)
def test_a_name_that_cannot_be_told(content):
    assert "?" in names_in(content)


def test_a_name_from_the_memo():
    assert names_in(b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94NNh\x00h\x01\x93.") == {"posix.system"}


@given(st.binary(max_size=200))
def test_any_bytes(content):
    try:
        names = names_in(content)
    except (ValueError, IndexError):
        return
    assert all(isinstance(name, str) for name in names)

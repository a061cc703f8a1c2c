"""Packed files that break the rules of archives: each is refused in one line, and nothing is written or left."""

import random
import stat
import struct
import tempfile
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sharing.packed_content import PLANS, WEIGHTS, Packed

from nnunet_eas.sharing.unpack import unpack
from nnunet_eas.support import safe_archive


def test_a_rewritten_file_is_as_good(content, tmp_path):
    assert unpack(content.write(tmp_path / "a"), tmp_path / "target")[0].is_dir()


OUTSIDE = [
    *("../evil", "/evil", "a/../../evil", "a/./b", "a//b", "a/", "", ".", ".."),
    *("C:/evil", "c:evil", "\\evil", "..\\evil", "\\\\host\\share\\evil", "//host/share", "a\\b"),
    *("CON", "nul.txt", "a/Aux", "COM1.json", "lpt9", "com¹", "NUL .txt", "conin$", "a:stream"),
    *("evil.", "evil ", "a./b", "README.md\0.exe", "two\nlines", "\x1b[31m", "right-to-left\u202e"),
    *("x" * 300, "a/" * 300 + "b"),
]


@pytest.mark.parametrize("name", OUTSIDE, ids=ascii)
def test_names_that_lead_elsewhere(content, tmp_path, refused, name):
    content.members[name] = b"evil"
    refused(content.write(tmp_path / "a"), r"must hold names of files in its own folder, got '")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("readme.MD", r"each name once, got 'README\.md' and 'readme\.MD'"),
        ("README.md/evil", r"each name once, got 'README\.md/evil' in a folder that is a file"),
        ("readme.md/evil", r"each name once, got 'readme\.md/evil' in a folder that is a file"),
    ],
)
def test_names_that_are_one_on_some_systems(content, tmp_path, refused, name, message):
    content.members[name] = b"evil"
    refused(content.write(tmp_path / "a"), message)


def test_composed_and_decomposed_names(content, tmp_path, refused):
    content.members |= {"caf\u00e9": b"", "cafe\u0301": b""}
    refused(content.write(tmp_path / "a"), r"each name once, got 'caf\\xe9' and 'cafe\\u0301'")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(content, tmp_path, refused):
    file = content.write(tmp_path / "a")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(PLANS, b"{}")
    refused(file, "must hold each name once, got")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_links_and_devices(content, tmp_path, refused, kind):
    content.members["extra"] = b"/etc/passwd"
    refused(content.write(tmp_path / "a", external_attr=(kind | 0o777) << 16), "must hold files only, got .*'extra'")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb(content, tmp_path, refused, method):
    content.members["extra"] = bytes(50_000_000)
    file = content.write(tmp_path / "a", compress_type=method)
    assert file.stat().st_size < 1_000_000
    refused(file, "neither compressed nor encrypted, got 'extra'")


def patched(file, name, offset, value, of_local_header=False):
    """Changes bytes of a member's entry in the list of members, or of its header in front of the content."""
    content = bytearray(file.read_bytes())
    where = content.rindex(name.encode()) - 46  # in the list, which is at the end
    if of_local_header:
        (where,) = struct.unpack_from("<L", content, where + 42)
    content[where + offset : where + offset + len(value)] = value
    file.write_bytes(content)
    return file


def test_an_encrypted_member(content, tmp_path, refused):
    refused(patched(content.write(tmp_path / "a"), PLANS, 8, b"\1"), "neither compressed nor encrypted")


@pytest.mark.parametrize("size", [2**20, 2**32 - 1])
def test_a_member_larger_than_the_file(content, tmp_path, refused, size):
    file = patched(content.write(tmp_path / "a"), PLANS, 20, struct.pack("<LL", size, size))
    refused(file, rf"must hold no more than its own size, got \d+ bytes in {file.stat().st_size}")


def test_members_that_overlap(content, tmp_path, refused):
    # all hold the largest one, so that the file holds many times its size
    file = content.write(tmp_path / "a")
    with zipfile.ZipFile(file) as archive:
        offset = archive.getinfo(WEIGHTS).header_offset
    file = patched(file, WEIGHTS.replace("fold_0", "fold_1"), 42, struct.pack("<L", offset))
    refused(file, "must hold members one behind the other, got")


def test_a_member_that_reaches_into_the_list(content, tmp_path, refused):
    file = content.write(tmp_path / "a")
    with zipfile.ZipFile(file) as archive:
        size = archive.getinfo("manifest.json").file_size + 10
    refused(patched(file, "manifest.json", 20, struct.pack("<LL", size, size)), "reaches into the list of members")


def test_two_names_of_a_member(content, tmp_path, refused):
    file = patched(content.write(tmp_path / "a"), PLANS, 30, b"X", of_local_header=True)
    refused(file, r"must be whole, got '.*plans\.json', which cannot be read")


def test_too_many_members(content, tmp_path, refused):
    content.members |= {f"extra_{number}": b"" for number in range(10_000)}
    refused(content.write(tmp_path / "a"), "must hold at most 10000 members, got 100")


@pytest.mark.parametrize("where", [12, 4, 8])
def test_a_false_end(content, tmp_path, refused, where):
    file = content.write(tmp_path / "a")
    end = bytearray(file.read_bytes())
    end[-22 + where : -22 + where + 4] = b"\xff\xff\xff\x7f"
    file.write_bytes(end)
    if where == 12:
        refused(file, "must be a whole ZIP archive, got a list of members of 2147483647 bytes")
    else:  # numbers that are not used
        assert unpack(file, tmp_path / "target")


def test_a_list_that_is_elsewhere(content, tmp_path, refused):
    file = content.write(tmp_path / "a")
    ending = file.read_bytes()
    record = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 5, 1)
    file.write_bytes(ending[:-22] + record + locator + ending[-22:])
    refused(file, "must be a whole ZIP archive, got no end of an archive")
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(ending) - 22, 1)
    file.write_bytes(ending[:-22] + record + locator + ending[-22:])
    refused(file, f"got a list of members of {2**40} bytes")


def test_a_comment_behind_the_end(content, tmp_path, refused):
    file = content.write(tmp_path / "a")
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"evil"
    refused(file, "must be a whole ZIP archive, got no end of an archive")


def test_a_truncated_file(packed, tmp_path, refused):
    whole = packed().read_bytes()
    for length in (0, 1, 21, 22, 1000, len(whole) // 2, len(whole) - 22, len(whole) - 1):
        (tmp_path / "a").write_bytes(whole[:length])
        refused(tmp_path / "a", "must be a whole ZIP archive, got")


def files_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_flipped_bit(packed, tmp_path):
    """A flipped bit in the content is found; one in a date, say, does not matter."""
    whole = packed().read_bytes()
    with zipfile.ZipFile(packed()) as archive:
        weights = archive.getinfo(WEIGHTS).header_offset + 100
    unpack(packed(), tmp_path / "whole")
    rng = random.Random(0)
    found = 0
    for place in [weights, *(rng.randrange(len(whole)) for _ in range(60))]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        (tmp_path / "a").write_bytes(flipped)
        try:
            unpack(tmp_path / "a", tmp_path / "target")
        except ValueError:
            found += 1
            assert not (tmp_path / "target").exists()
        else:
            assert place != weights
            assert files_in(tmp_path / "target") == files_in(tmp_path / "whole")
            (tmp_path / "target").rename(tmp_path / f"target_{place}")
    assert found > 40


TRICKY = st.text(st.sampled_from("./\\:aB~ \0\n*$1é¹\u202e") | st.characters(exclude_categories=["Cs"]), max_size=12)
DEVICES = st.sampled_from(["CON", "nul", "Aux.txt", "COM1", "..", "C:", "/", "evil", "README.md"])
NAMES = st.lists(DEVICES | TRICKY, max_size=4).map("/".join) | TRICKY


@given(NAMES)
@example("a/b.json")
def test_a_safe_name_stays_in_its_folder_on_every_system(name):
    if safe_archive.fault_of_name(name) is not None:
        return
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        assert not path.is_absolute()
        assert not path.drive
        assert not path.root
        assert ".." not in path.parts
        assert "/".join(path.parts) == name
    assert not {part.upper().split(".")[0].strip() for part in name.split("/")} & {"CON", "NUL", "AUX", "COM1"}
    assert name.isprintable()


@given(name=NAMES)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_of_a_member_gets_past(packed, name):
    content = Packed(packed())
    content.members[name] = b"evil"
    with tempfile.TemporaryDirectory() as folder:
        file = content.write(Path(folder, "a"))
        if name == "README.md":
            assert unpack(file, Path(folder, "target"))
            return
        with pytest.raises(ValueError, match="The packed file must hold "):
            unpack(file, Path(folder, "inner", "target"))
        assert sorted(Path(folder).rglob("*")) == [file, Path(folder, "inner")]

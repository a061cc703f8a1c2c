"""Damage to files: bytes of any format, images, JSON; each way by a name, drawn from a generator of random numbers."""

from __future__ import annotations

import copy
import gzip
import json
import math
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk

Damage = Callable[[np.random.Generator, Path], None]
"""Changes a file in place."""


def _cut(rng: np.random.Generator, file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(rng.integers(0, len(content)))])


def _flip(rng: np.random.Generator, file: Path) -> None:
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    places = rng.integers(0, len(content), size=int(rng.integers(5, 60)))
    content[places] ^= rng.integers(1, 256, size=len(places)).astype(np.uint8)
    file.write_bytes(content.tobytes())


def _empty(rng: np.random.Generator, file: Path) -> None:
    file.write_bytes(b"")


def _random(rng: np.random.Generator, file: Path) -> None:
    file.write_bytes(rng.bytes(int(rng.integers(1, 5000))))


def _text(rng: np.random.Generator, file: Path) -> None:
    file.write_text("<html>404 not found</html>\n")


BYTES: dict[str, Damage] = {"cut off": _cut, "bytes flipped": _flip, "empty": _empty, "random": _random, "text": _text}
"""Ways for a file of any format. Flipped bytes may leave a sound file: the content alone is wrong then."""


def _voxels(change: Callable[[np.random.Generator, np.ndarray], np.ndarray]) -> Damage:
    def damage(rng: np.random.Generator, file: Path) -> None:
        image = sitk.ReadImage(str(file))
        changed = sitk.GetImageFromArray(change(rng, sitk.GetArrayFromImage(image).astype(np.float32)))
        changed.SetSpacing(image.GetSpacing())
        sitk.WriteImage(changed, str(file))

    return damage


def _with(value: float) -> Damage:
    def change(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
        array[tuple(int(rng.integers(0, edge)) for edge in array.shape)] = value
        return array

    return _voxels(change)


def _nifti_field(place: int, kind: str, *values: float) -> Damage:
    """Writes values into a NIfTI header."""

    def damage(rng: np.random.Generator, file: Path) -> None:
        content = bytearray(gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes())
        struct.pack_into(f"<{len(values)}{kind}", content, place, *values)
        file.write_bytes(gzip.compress(bytes(content)) if file.suffix == ".gz" else bytes(content))

    return damage


SCANS: dict[str, Damage] = {
    "a voxel NaN": _with(math.nan),
    "a voxel infinite": _with(math.inf),
    "constant": _voxels(lambda rng, array: np.full_like(array, 7)),
    "four axes": lambda rng, file: sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((2, 5, 6, 7), np.float32), isVector=False), str(file)
    ),
    "claims 30000 x 30000 x 1000 voxels": _nifti_field(42, "h", 30000, 30000, 1000),
    "spacing 0": _nifti_field(80, "f", 0.0),
    "spacing NaN": _nifti_field(80, "f", math.nan),
    "spacing negative": _nifti_field(80, "f", -1.0),
    "spacing 1e-6": _nifti_field(80, "f", 1e-6),
    "no axes": _nifti_field(40, "h", 0),
    "unknown type of voxels": _nifti_field(70, "h", 12345),
}
"""Ways for NIfTI scans."""

ODD_VALUES: list[Any] = [None, True, [], {}, "", "abc", "../../x", -1, 0, 1e308, math.nan, 2**70, [0], {"a": [1]}]


def damage_json(rng: np.random.Generator, file: Path) -> str:
    """Exchanges or removes one value of a JSON file; says which."""
    holder = {"": json.loads(file.read_text())}
    holder = copy.deepcopy(holder)
    place: Any = holder
    key: Any = ""
    way = ""
    while isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.85:
        place = place[key]
        key = list(place)[int(rng.integers(len(place)))] if isinstance(place, dict) else int(rng.integers(len(place)))
        way += f"/{key}"
    if isinstance(place, dict) and place is not holder and rng.random() < 0.4:
        del place[key]
        way += " removed"
    else:
        value = ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
        place[key] = value
        way += f" = {value!r}"
    file.write_text(json.dumps(holder[""]))
    return way


def damage_archive(rng: np.random.Generator, file: Path) -> str:
    """Damages bytes of a ZIP archive (a checkpoint, a packed model), or removes or exchanges one of its members."""
    if rng.random() < 0.5:
        how = str(rng.choice(sorted(BYTES)))
        BYTES[how](rng, file)
        return how
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = sorted(members)[int(rng.integers(len(members)))]
    how = str(rng.choice(["removed", "emptied", "cut off", "random", "called ../x", "twice", "compressed"]))
    content = members.pop(name)
    if how == "cut off":
        members[name] = content[: len(content) // 2]
    elif how == "random":
        members[name] = rng.bytes(len(content))
    elif how == "called ../x":
        members["../x"] = content
    elif how in ("twice", "compressed"):
        members[name] = content
    elif how == "emptied":
        members[name] = b""
    packing = zipfile.ZIP_DEFLATED if how == "compressed" else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", packing) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for member, data in members.items():
            archive.writestr(member, data)
        if how == "twice":
            archive.writestr(name, content)
    return f"{name} {how}"


def damage_dicom(rng: np.random.Generator, file: Path) -> str:
    """Damages bytes of a DICOM file, or one of the entries that give its place and size."""
    how = str(rng.choice([*sorted(BYTES), "no place", "spacing 0", "another size", "another frame", "no pixels"]))
    if how in BYTES:
        BYTES[how](rng, file)
        return how
    content = pydicom.dcmread(file)
    if how == "no place":
        del content.ImagePositionPatient
    elif how == "spacing 0":
        content.PixelSpacing = [0, 0]
    elif how == "another size":
        content.Rows += 1
    elif how == "another frame":
        content.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    else:
        del content.PixelData
    content.save_as(file)
    return how

"""Inspection of checkpoints, pickles, archives and folders, without running any of them."""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_eas.inference.packed_file import MANIFEST, open_packed
from nnunet_eas.plans.check import check_dataset, check_plans
from nnunet_eas.plans.named_classes import check_named_classes
from nnunet_eas.support.checkpoints import fault_of, foreign_names, load_whole
from nnunet_eas.support.errors import first_line, shown
from nnunet_eas.support.files import read_json
from nnunet_eas.support.pickle_names import HARMLESS, names_in
from nnunet_eas.support.safe_archive import fault_of_name
from nnunet_eas.support.safe_pickle import read_postprocessing

LARGEST_PICKLE = 64 * 2**20  # bytes
KEPT_NAMES = ("postprocessing.pkl", "plans.json", "dataset.json")  # by which files are known
MOST_UNPACKED = 20  # times its size, that an archive may unpack to


@dataclass(frozen=True)
class Inspection:
    """Contents of one file, and their dangers.

    Attributes:
        name: The file, below what was inspected.
        kind: "checkpoint", "pickle", "arrays", "plans", "dataset.json", "packed model" or "archive".
        size: Bytes.
        sha256: Of the content.
        facts: Sentences on the content.
        dangers: What is damaged, or would run where nnU-Net loads the file.
    """

    name: str
    kind: str
    size: int
    sha256: str
    facts: list[str] = field(default_factory=list)
    dangers: list[str] = field(default_factory=list)


def inspect(path: str | Path) -> list[Inspection]:
    """Looks at a file, or at all files of a model's folder that nnU-Net would load.

    Args:
        path: A checkpoint (.pth), a pickle (.pkl), arrays (.npz), plans or dataset.json, a packed model, another ZIP
            archive, or a folder with such files. Links to folders are not followed.

    Returns:
        A record for each file, in the order of their names.

    Raises:
        FileNotFoundError: There is no such file or folder, or no file that nnU-Net would load.

    Example:
        >>> import os
        >>> from nnunet_eas import inspect
        >>> any(one.dangers for one in inspect(os.environ["MODEL"]))  # a trained model's folder
        False
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path (FILE) must be a file or folder, got {path}. Correct the path.")
    folder = path if path.is_dir() else path.parent
    found = [one for file in _files(path) for one in _of_file(file, file.relative_to(folder).as_posix())]
    if not found:
        raise FileNotFoundError(
            f"path (FILE) must hold files that nnU-Net loads, got none in {path}. Correct the path."
        )
    return found


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):  # does not follow links
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if Path(folder, name).is_file())


def _of_file(file: Path, name: str) -> Iterator[Inspection]:
    inspected: Callable[[Path], tuple[list[str], list[str]]]
    if file.suffix == ".pth":
        kind, inspected = "checkpoint", _checkpoint
    elif file.suffix in (".pkl", ".pickle"):
        kind, inspected = "pickle", _pickle
    elif file.suffix in (".npz", ".npy"):
        kind, inspected = "arrays", _arrays
    elif file.name == "plans.json" or file.name.endswith("Plans.json"):
        kind, inspected = "plans", _plans
    elif file.name == "dataset.json":
        kind, inspected = "dataset.json", _dataset
    elif file.suffix == ".zip":
        kind, inspected = ("packed model", _packed) if _is_packed(file) else ("archive", _archive)
    else:
        return
    try:
        facts, dangers = inspected(file)
    except Exception as error:  # a file of unknown origin may raise anything
        facts, dangers = [], [first_line(error)]
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    yield Inspection(name, kind, file.stat().st_size, digest, facts, dangers)


def _checkpoint(file: Path) -> tuple[list[str], list[str]]:
    if fault := fault_of(file):
        return [], [f"no whole checkpoint, {fault}"]
    if names := foreign_names(file):
        return [], [f"would load {', '.join(map(shown, names))}"]
    content = load_whole(file)
    weights, init_args = content.get("network_weights", {}), content.get("init_args", {})
    numbers = sum(tensor.numel() for tensor in weights.values())
    plans = init_args.get("plans", {})
    facts = [
        f"trainer {content.get('trainer_name')}, configuration {init_args.get('configuration')}, "
        f"fold {init_args.get('fold')}, epoch {content.get('current_epoch')}",
        f"plans {plans.get('plans_name')} of {plans.get('dataset_name')}",
        f"{numbers:,} numbers in {len(weights)} tensors",
    ]
    return facts, []


def _pickle(file: Path) -> tuple[list[str], list[str]]:
    if file.stat().st_size > LARGEST_PICKLE:
        return [], [f"has more than {LARGEST_PICKLE} bytes"]
    if file.name == "postprocessing.pkl":
        functions, keywords = read_postprocessing(file)
        return [f"{f.__name__} {k}" for f, k in zip(functions, keywords, strict=True)], []
    try:
        names = names_in(file.read_bytes())
    except (ValueError, pickle.UnpicklingError, IndexError) as error:
        return [], [f"no whole pickle ({error})"]
    dangers = [f"would load {', '.join(map(shown, sorted(foreign)))}"] if (foreign := names - HARMLESS) else []
    return [f"names {', '.join(map(shown, sorted(names & HARMLESS))) or 'nothing'}"], dangers


def _arrays(file: Path) -> tuple[list[str], list[str]]:
    if file.suffix == ".npy":
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        return [f"{array.dtype} of shape {array.shape}"], []
    facts: list[str] = []
    dangers: list[str] = []
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            with archive.open(member) as content:
                version = np.lib.format.read_magic(content)
                read_header: Any = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
                shape, _, dtype = read_header(content)
            facts.append(f"{shown(member.filename)}: {dtype} of shape {shape}")
            if dtype.hasobject:
                dangers.append(f"{shown(member.filename)} is a pickle")
    return facts, dangers


def _plans(file: Path) -> tuple[list[str], list[str]]:
    plans = read_json(file, file.name)
    check_plans(plans, file.name)
    check_named_classes(plans, file.name)
    return [f"plans {plans['plans_name']} of {plans['dataset_name']}: {', '.join(plans['configurations'])}"], []


def _dataset(file: Path) -> tuple[list[str], list[str]]:
    content = read_json(file, file.name)
    check_dataset(content, file.name)
    return [f"labels {', '.join(content['labels'])}; files {content['file_ending']}"], []


def _is_packed(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _packed(file: Path) -> tuple[list[str], list[str]]:
    with open_packed(file) as packed:
        facts = [f"model {model.name}, fold {', '.join(map(str, model.folds))}" for model in packed.models]
        for name in packed.content["members"]:
            packed.read(name)
        return [*facts, f"all {len(packed.content['members'])} checksums agree"], []


def _archive(file: Path) -> tuple[list[str], list[str]]:
    """Members that nnU-Net would load are unpacked, one after the other, into a temporary folder."""
    facts: list[str] = []
    dangers: list[str] = []
    with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory(prefix="nnunet_eas_") as work:
        members = [member for member in archive.infolist() if not member.is_dir()]
        unpacked = sum(member.file_size for member in members)
        facts.append(f"{len(members)} files, {unpacked / 1e6:.1f} MB unpacked")
        dangers += [f"{shown(m.filename)} {fault}" for m in members if (fault := fault_of_name(m.filename))]
        if unpacked > MOST_UNPACKED * file.stat().st_size:
            return facts, [*dangers, f"unpacks to more than {MOST_UNPACKED} times its size"]
        for member in members:
            name = Path(member.filename).name
            inside = Path(work, name if name in KEPT_NAMES else f"member{Path(name).suffix}")
            if inside.suffix == ".zip":
                dangers.append(f"{shown(member.filename)} is another archive: unpack this one, and inspect that")
            if inside.suffix not in (".pth", ".pkl", ".npz") and name not in KEPT_NAMES:
                continue
            with archive.open(member) as source, inside.open("wb") as target:
                while block := source.read(1 << 20):
                    target.write(block)
            for one in _of_file(inside, member.filename):
                facts += [f"{shown(member.filename)}: {fact}" for fact in one.facts]
                dangers += [f"{shown(member.filename)}: {danger}" for danger in one.dangers]
            inside.unlink()
    return facts, dangers

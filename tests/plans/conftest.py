"""Folders and data sets for the planner's tests; none of them holds an image to load, unless it says so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from planned import planned_unet

from benchmarks.planning.fingerprints import write_fingerprint


@dataclass
class Folders:
    """nnU-Net's three folders, which the process's environment names, and a data set in them."""

    root: Path
    name: str = "Dataset901_Shapes"

    def __post_init__(self) -> None:
        self.raw, self.preprocessed, self.results = (self.root / n for n in ("raw", "preprocessed", "results"))
        for folder in (self.raw, self.preprocessed, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        self.dataset_file = self.raw / self.name / "dataset.json"
        self.fingerprint_file = self.preprocessed / self.name / "dataset_fingerprint.json"

    def write(self, shapes: list, spacings: list, *, regions_class_order: list[int] | None = None, **more: Any) -> None:
        """A fingerprint with its dataset.json; a second one takes the first one's place."""
        write_fingerprint(self.raw, self.preprocessed, self.name, shapes=shapes, spacings=spacings, **more)
        # nnU-Net starts twelve processes to look for the cases, unless they are named
        folder = self.raw / self.name
        cases = {
            label.name.removesuffix(".nii.gz"): {
                "label": str(label),
                "images": sorted(map(str, (folder / "imagesTr").glob(f"{label.name.removesuffix('.nii.gz')}_*"))),
            }
            for label in (folder / "labelsTr").iterdir()
        }
        edit_json(self.dataset_file, lambda content: content.update(dataset=cases))
        if regions_class_order:
            edit_json(self.dataset_file, lambda content: content.update(regions_class_order=regions_class_order))

    def plans_file(self, name: str = "EASUNetPlans") -> Path:
        return self.preprocessed / self.name / f"{name}.json"

    def plans(self, name: str = "EASUNetPlans") -> dict[str, Any]:
        return json.loads(self.plans_file(name).read_text())

    def files(self) -> dict[str, bytes]:
        """Every file in the data set's preprocessed folder."""
        folder = self.preprocessed / self.name
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def edit_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def in_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    made = Folders(root)
    for variable in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{variable}", str(getattr(made, variable)))
    return made


@pytest.fixture
def folders(tmp_path, monkeypatch) -> Folders:
    return in_folder(tmp_path / "nnunet", monkeypatch)


@pytest.fixture(scope="session")
def folders_in():
    """Makes further folders; called with where, and the monkeypatch that sets the environment."""
    return in_folder


@pytest.fixture(name="edit_json")
def edit_json_fixture():
    """Called with a path and what changes its content in place."""
    return edit_json


@pytest.fixture(scope="session")
def plain_unet():
    """Makes a configuration with a PlainConvUNet, as nnU-Net's planner writes it."""
    return planned_unet

"""Packed files, which `nnunet-eas pack` writes: read as if they were hostile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from nnunet_eas.support.errors import shown
from nnunet_eas.support.safe_archive import SafeArchive, fault_of_name, open_archive

FORMAT = 1  # grows when a member or an entry changes its meaning or goes
MANIFEST, CARD, POSTPROCESSING = "manifest.json", "README.md", "postprocessing.json"
PLANS, DATASET, FINGERPRINT = "plans.json", "dataset.json", "dataset_fingerprint.json"
WEIGHTS, DESCRIPTION = "weights.safetensors", "checkpoint.json"
REMEDY = "Get the file anew, from a source that you trust."


@dataclass(frozen=True)
class PackedModel:
    """One model of a packed file, by the parts of its folder's name."""

    trainer: str
    plans: str
    configuration: str
    folds: tuple[int | str, ...]  # numbers, or "all"

    @property
    def name(self) -> str:
        """TRAINER__PLANS__CONFIGURATION, the folder's name."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"

    def members(self) -> list[str]:
        """The names of the members that every model has."""
        of_folds = [f"{self.name}/fold_{fold}/{file}" for fold in self.folds for file in (WEIGHTS, DESCRIPTION)]
        return [f"{self.name}/{PLANS}", f"{self.name}/{DATASET}", *of_folds]


class PackedFile:
    """An open packed file: its models, and its members, each compared with the manifest when it is read.

    Attributes:
        path: The file.
        content: The manifest.
        models: The models; those of an ensemble before the first stage of a cascade.
    """

    def __init__(self, archive: SafeArchive) -> None:
        self._archive = archive
        self.path = archive.path
        self.refuse = archive.refuse
        if MANIFEST not in archive.sizes:
            raise self.refuse(f"hold {MANIFEST}", "none")
        self.content = self._parsed(MANIFEST, archive.read_text(MANIFEST))
        if self.content.get("format") != FORMAT:
            raise ValueError(
                f"The packed file must be of format {FORMAT}, got {shown(self.content.get('format'))} in "
                f"{archive.path}. Install the version of nnunet-eas that wrote it."
            )
        self._members = self._checked_members(self.content.get("members"))
        self.models = self._checked_models(self.content.get("models"))

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return name in self._members

    def read(self, name: str) -> bytes:
        """The content of a member: JSON, Markdown or weights."""
        content = self._archive.read(name) if name.endswith(WEIGHTS) else self._archive.read_text(name)
        if hashlib.sha256(content).hexdigest() != self._members[name]["sha256"]:
            raise self.refuse("hold what its manifest says", f"another sha256 of {shown(name)}")
        return content

    def read_json(self, name: str) -> dict[str, Any]:
        """The content of a JSON member, an object."""
        return self._parsed(name, self.read(name))

    def read_weights(self, name: str, shared: Any) -> dict[str, torch.Tensor]:
        """The tensors of a member; `shared` has further names for some of them."""
        try:
            weights: dict[str, torch.Tensor] = safetensors.torch.load(self.read(name))
        except safetensors.SafetensorError as error:
            raise self.refuse("hold whole weights", f"{shown(name)} ({shown(str(error))})") from error
        if not isinstance(shared, dict) or not all(
            isinstance(of, str) and of in weights and other not in weights for other, of in shared.items()
        ):
            raise self.refuse("name tensors that it holds", f"others in {DESCRIPTION} beside {shown(name)}")
        return {**weights, **{other: weights[of] for other, of in shared.items()}}

    def _parsed(self, name: str, content: bytes) -> dict[str, Any]:
        try:
            parsed = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self.refuse("hold whole JSON", shown(name)) from error
        if not isinstance(parsed, dict):
            raise self.refuse("hold JSON objects", f"{type(parsed).__name__} in {shown(name)}")
        return parsed

    def _checked_members(self, members: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(members, dict) or not all(isinstance(of_one, dict) for of_one in members.values()):
            raise self.refuse("name its members in its manifest", shown(members))
        sizes = {name: size for name, size in self._archive.sizes.items() if name != MANIFEST}
        if differing := set(sizes) ^ set(members):
            raise self.refuse("hold exactly what its manifest names", shown(min(differing)))
        for name, size in sizes.items():
            if members[name].get("size") != size:
                raise self.refuse("hold what its manifest says", f"{size} bytes of {shown(name)}")
            if not isinstance(members[name].get("sha256"), str):
                raise self.refuse("name the sha256 of each member", f"none of {shown(name)}")
        return members

    def _checked_models(self, listed: Any) -> tuple[PackedModel, ...]:
        try:
            models = tuple(
                PackedModel(one["trainer"], one["plans"], one["configuration"], tuple(one["folds"])) for one in listed
            )
            is_sound = all(_is_sound(model) for model in models)
            is_sound &= 0 < len({model.name.casefold() for model in models}) == len(models)
        except (KeyError, TypeError):
            is_sound = False
        if not is_sound:
            raise self.refuse("name models by trainer, plans, configuration and folds", shown(listed))
        needed = {CARD, *(name for model in models for name in model.members())}
        optional = {POSTPROCESSING, *(f"{model.name}/{FINGERPRINT}" for model in models)}
        if missing := needed - set(self._members):
            raise self.refuse("hold all files of its models", f"no {shown(min(missing))}")
        if others := set(self._members) - needed - optional:
            raise self.refuse("hold files of its models only", shown(min(others)))
        return models


@contextmanager
def open_packed(path: str | Path) -> Iterator[PackedFile]:
    """Opens a packed file after checks of its members and its manifest.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no packed file, is damaged, or breaks a rule that keeps this machine safe.
    """
    with open_archive(Path(path), REMEDY) as archive:
        yield PackedFile(archive)


def _is_sound(model: PackedModel) -> bool:
    """Whether the parts are names, from which no path leads elsewhere, and the folds nnU-Net's, each once."""
    parts = (model.trainer, model.plans, model.configuration)
    return (
        all(isinstance(part, str) and part and "/" not in part for part in parts)
        and fault_of_name(model.name) is None
        and all(fold == "all" or (type(fold) is int and 0 <= fold < 10_000) for fold in model.folds)
        and 0 < len(set(model.folds)) == len(model.folds)
    )

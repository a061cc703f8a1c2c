"""Calls of every command with damaged files among their input, for `benchmarks.checks.damaged_inputs`."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.checks.bench_commands import KEPT
from benchmarks.checks.damage import BYTES, SCANS, damage_archive, damage_dicom, damage_json
from benchmarks.checks.fault_bench import CONFIGURATION, ID, PLANS, FaultBench, read_array

AT_ONCE = 10  # damaged files of a call that takes several


@dataclass
class Call:
    """A call that is ready to be made.

    Attributes:
        words: The command.
        damaged: The damage of each damaged file, by the name that a message must hold.
        outputs: What the call writes for a damaged file that turns out to be sound, by the same name.
        good: Says how what was written for the good files differs from what it must be, or None.
        skips: Whether the caller asked to skip faulty files, so that the exit status is 0.
        environment: Variables that differ from the bench's.
    """

    words: list[str]
    damaged: dict[str, str]
    outputs: dict[str, Path] = field(default_factory=dict)
    good: Callable[[], str | None] = lambda: None
    skips: bool = False
    environment: dict[str, str] = field(default_factory=dict)


class Scenes:
    """Ways to bring damaged files into calls; each method prepares one call in an empty folder."""

    def __init__(self, bench: FaultBench) -> None:
        self.bench = bench

    def scans_to_predict(self, rng: np.random.Generator, folder: Path) -> Call:
        """Scans of `predict`: two good ones among ten."""
        shutil.copytree(self.bench.work / "scans", folder / "scans")
        damaged, outputs = {}, {}
        for case in self.bench.cases[:AT_ONCE]:
            damaged[case] = _damage_image(rng, folder / "scans" / f"{case}_0000.nii.gz")
            outputs[case] = folder / "out" / f"{case}.nii.gz"
        words = self._predict(self.bench.model, folder / "scans", folder)
        return Call(words, damaged, outputs, lambda: self._other_masks(folder / "out"))

    def model_to_predict(self, rng: np.random.Generator, folder: Path) -> Call:
        """plans.json, dataset.json or the checkpoint of `predict`."""
        model = Path(shutil.copytree(self.bench.model, folder / self.bench.model.name))
        file = model / str(rng.choice(["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"]))
        how = damage_archive(rng, file) if file.suffix == ".pth" else damage_json(rng, file)
        scans, mask = self._one_scan(folder)
        return Call(self._predict(model, scans, folder), {file.name: how}, {file.name: mask})

    def model_to_export(self, rng: np.random.Generator, folder: Path) -> Call:
        """The checkpoint of `export`."""
        model = Path(shutil.copytree(self.bench.model, folder / self.bench.model.name))
        how = damage_archive(rng, model / "fold_0" / "checkpoint_final.pth")
        output = folder / "out.onnx"
        words = ["export", str(model), "-f", "0", "--to", "onnx", "-o", str(output)]
        return Call(words, {"checkpoint_final.pth": how}, {"checkpoint_final.pth": output})

    def model_to_pack(self, rng: np.random.Generator, folder: Path) -> Call:
        """Files of the model under `pack`."""
        model = Path(shutil.copytree(self.bench.model, folder / self.bench.model.name))
        names = ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth", "fold_1/validation/summary.json"]
        file = model / str(rng.choice(names))
        how = damage_archive(rng, file) if file.suffix == ".pth" else damage_json(rng, file)
        output = folder / "out.nnunet.zip"
        return Call(["pack", str(model), "-o", str(output)], {file.name: how}, {file.name: output})

    def packed_model(self, rng: np.random.Generator, folder: Path) -> Call:
        """A packed model under `unpack`, `predict` and `inspect`."""
        file = Path(shutil.copy(self.bench.work / "model.nnunet.zip", folder))
        how = damage_archive(rng, file)
        command = str(rng.choice(["unpack", "predict", "inspect"]))
        if command == "inspect":
            return Call(["inspect", str(file)], {file.name: how}, {file.name: file})
        if command == "unpack":
            out = folder / "out"
            return Call(["unpack", str(file), "-o", str(out)], {file.name: how}, {file.name: out})
        scans, mask = self._one_scan(folder)
        return Call(self._predict(file, scans, folder), {file.name: how}, {file.name: mask})

    def files_to_inspect(self, rng: np.random.Generator, folder: Path) -> Call:
        """Checkpoints, pickles, plans under `inspect`."""
        model = self.bench.model
        names = ["fold_0/checkpoint_final.pth", "plans.json", "dataset.json", f"{KEPT}/postprocessing.pkl"]
        file = Path(shutil.copy(model / str(rng.choice(names)), folder))
        how = _damage_any(rng, file)
        return Call(["inspect", str(file)], {file.name: how}, {file.name: file})

    def masks_to_evaluate(self, rng: np.random.Generator, folder: Path) -> Call:
        """Masks or references of `evaluate`: two good ones among ten."""
        places = [Path(shutil.copytree(self.bench.work / "truth", folder / name)) for name in ("ref", "pred")]
        spoiled = places[int(rng.integers(2))]
        damaged = {c: _damage_image(rng, spoiled / f"{c}.nii.gz") for c in self.bench.cases[:AT_ONCE]}
        out = folder / "out.json"
        words = ["evaluate", "-ref", str(places[0]), "-pred", str(places[1]), "-l", "1", "2", "-o", str(out)]
        return Call(words, damaged, dict.fromkeys(damaged, out), lambda: _lacking(out, self.bench.cases[AT_ONCE:]))

    def masks_to_quantify(self, rng: np.random.Generator, folder: Path) -> Call:
        """Masks of `quantify`: two good ones among ten."""
        masks = Path(shutil.copytree(self.bench.work / "truth", folder / "masks"))
        damaged = {c: _damage_image(rng, masks / f"{c}.nii.gz") for c in self.bench.cases[:AT_ONCE]}
        out = folder / "out.csv"
        words = ["quantify", str(masks), "-djfile", str(self.bench.raw / "dataset.json"), "-o", str(out)]
        return Call(words, damaged, dict.fromkeys(damaged, out), lambda: _lacking(out, self.bench.cases[AT_ONCE:]))

    def structures(self, rng: np.random.Generator, folder: Path) -> Call:
        """dataset.json of `quantify` and `evaluate`."""
        file = Path(shutil.copy(self.bench.raw / "dataset.json", folder))
        how = damage_json(rng, file)
        masks = [folder / name for name in ("ref", "pred")]
        for place in masks:
            place.mkdir()
            shutil.copy(self.bench.work / "truth" / f"{self.bench.cases[0]}.nii.gz", place)
        out = folder / "out"
        evaluate = ["evaluate", "-ref", str(masks[0]), "-pred", str(masks[1])]
        words = [["quantify", str(masks[1])], evaluate][int(rng.integers(2))]
        return Call([*words, "-djfile", str(file), "-o", str(out)], {file.name: how}, {file.name: out})

    def series_to_convert(self, rng: np.random.Generator, folder: Path) -> Call:
        """DICOM series of `convert dicom`: one slice of four of six series is damaged."""
        tree = Path(shutil.copytree(self.bench.work / "knees" / "mri", folder / "mri"))
        series = sorted({file.parent for file in tree.rglob("*") if file.is_file()})
        damaged = {}
        for one in series[:4]:
            slices = sorted(one.iterdir())
            damaged[str(one.relative_to(tree))] = damage_dicom(rng, slices[int(rng.integers(len(slices)))])
        out = folder / "out"
        words = ["convert", "dicom", "-i", str(tree), "-o", str(out), "--workers", "1"]
        table, good = out / "series.csv", [one.name for one in series[4:]]
        return _skipping(rng, Call(words, damaged, dict.fromkeys(damaged, table), lambda: _lacking(table, good)))

    def archive_to_convert(self, rng: np.random.Generator, folder: Path) -> Call:
        """Masks of OAI-ZIB (MetaImage) under `convert oai-zib`: four of six damaged."""
        source = Path(shutil.copytree(self.bench.work / "knees", folder / "knees"))
        masks = sorted((source / "archive").rglob("*.mhd"))
        damaged = {}
        for file in masks[:4]:
            spoiled = file if rng.random() < 0.6 else file.with_suffix(".raw")
            damaged[file.name.split(".")[0]] = f"{spoiled.suffix}: {_damage_bytes(rng, spoiled)}"
        out = folder / "raw"
        words = ["convert", "oai-zib", "--archive", str(source / "archive"), "--mri", str(source / "mri"), "-d", "7"]
        words += ["--output", str(out), "--workers", "1"]
        good = [file.name.split(".")[0] for file in masks[4:]]
        return _skipping(rng, Call(words, damaged, dict.fromkeys(damaged, out), lambda: _not_converted(out, good)))

    def dataset_to_convert(self, rng: np.random.Generator, folder: Path) -> Call:
        """Scans and masks of another dataset under `convert nnunet`: four of six cases damaged."""
        source = Path(shutil.copytree(self.bench.raw, folder / "Dataset009_Other"))
        damaged = {}
        cases = sorted(file.name.removesuffix(".nii.gz") for file in (source / "labelsTr").glob("*.nii.gz"))
        for case in cases[:4]:
            files = [source / "labelsTr" / f"{case}.nii.gz", source / "imagesTr" / f"{case}_0000.nii.gz"]
            damaged[case] = _damage_image(rng, files[int(rng.integers(2))])
        out = folder / "raw"
        words = ["convert", "nnunet", "--source", str(source), "-d", "7", "--output", str(out), "--workers", "1"]
        return _skipping(rng, Call(words, damaged, dict.fromkeys(damaged, out), lambda: _not_converted(out, cases[4:])))

    def dataset_to_plan(self, rng: np.random.Generator, folder: Path) -> Call:
        """dataset.json, or the fingerprint, of planning."""
        for name in ("raw", "preprocessed"):
            shutil.copytree(self.bench.work / name, folder / name)
        name = self.bench.raw.name
        files = [folder / "raw" / name / "dataset.json", folder / "preprocessed" / name / "dataset_fingerprint.json"]
        file = files[int(rng.integers(2))]
        how = damage_json(rng, file)
        out = folder / "preprocessed" / name / "New.json"
        words = ["plan_experiment", "-d", ID, "-overwrite_plans_name", "New"]
        return self._below(folder, Call(words, {file.name: how}, {file.name: out}))

    def plans_to_show(self, rng: np.random.Generator, folder: Path) -> Call:
        """Plans of `plan_info`."""
        shutil.copytree(self.bench.work / "preprocessed", folder / "preprocessed")
        file = folder / "preprocessed" / self.bench.raw.name / f"{PLANS}.json"
        how = damage_json(rng, file)
        words = ["plan_info", "-d", ID, "-p", PLANS, "-c", CONFIGURATION]
        return self._below(folder, Call(words, {file.name: how}, {file.name: file}))

    def records_of_training(self, rng: np.random.Generator, folder: Path) -> Call:
        """Records of `status`, `predict-best` and `report`."""
        results = Path(shutil.copytree(self.bench.work / "results", folder / "results"))
        shutil.copytree(self.bench.work / "preprocessed", folder / "preprocessed")
        model = results / self.bench.raw.name / self.bench.model.name
        command = str(rng.choice(["status", "predict-best", "report"]))
        if command == "status":
            file = [
                model / "fold_0" / "crossval.json",
                model / "fold_0" / "debug.json",
                folder / "preprocessed" / self.bench.raw.name / "splits_final.json",
            ][int(rng.integers(3))]
            words, output = ["status", "-d", ID], file
        elif command == "report":
            names = ["plans.json", "dataset.json", "fold_0/debug.json", "fold_0/validation/summary.json"]
            file, output = model / str(rng.choice(names)), folder / "out.html"
            words = ["report", str(model), "-o", str(output), "--workers", "1"]
        else:
            names = ["../inference_information.json", f"{KEPT}/postprocessing.pkl", f"{KEPT}/plans.json"]
            file = (model / str(rng.choice(names))).resolve()
            scans, output = self._one_scan(folder)
            words = ["predict-best", "-d", ID, "-i", str(scans), "-o", str(output.parent), "-device", "cpu"]
        how = _damage_any(rng, file)
        return self._below(folder, Call(words, {file.name: how}, {file.name: output}))

    def _one_scan(self, folder: Path) -> tuple[Path, Path]:
        """A folder with one good scan, and the mask that a prediction writes for it."""
        scans, case = folder / "scans", self.bench.cases[-1]
        scans.mkdir()
        shutil.copy(self.bench.work / "scans" / f"{case}_0000.nii.gz", scans)
        return scans, folder / "out" / f"{case}.nii.gz"

    def _below(self, folder: Path, call: Call) -> Call:
        call.environment = self.bench.environment(folder)
        return call

    def _other_masks(self, out: Path) -> str | None:
        """Says which of the good scans' masks differs from that of an undisturbed call."""
        for name in (f"{case}.nii.gz" for case in self.bench.cases[AT_ONCE:]):
            if not (out / name).is_file():
                return f"no {name}"
            if not np.array_equal(read_array(out / name), read_array(self.bench.work / "masks" / name)):
                return f"another {name} than undisturbed"
        return None

    def _predict(self, model: Path, scans: Path, folder: Path) -> list[str]:
        given = ["-i", str(scans), "-o", str(folder / "out"), "-m", str(model), "-f", "0"]
        return ["predict", *given, "-device", "cpu", "--engine", "torch"]


SHARES: dict[str, float] = {
    "scans_to_predict": 0.2,
    "model_to_predict": 0.1,
    "model_to_export": 0.02,
    "model_to_pack": 0.04,
    "packed_model": 0.06,
    "files_to_inspect": 0.06,
    "masks_to_evaluate": 0.14,
    "masks_to_quantify": 0.14,
    "structures": 0.04,
    "series_to_convert": 0.06,
    "archive_to_convert": 0.04,
    "dataset_to_convert": 0.04,
    "dataset_to_plan": 0.02,
    "plans_to_show": 0.02,
    "records_of_training": 0.06,
}
"""Shares of the damaged files, by the method of `Scenes`."""


def _skipping(rng: np.random.Generator, call: Call) -> Call:
    """The call with --skip-faulty, or without, where nothing is converted."""
    if rng.random() < 0.7:
        return replace(call, words=[*call.words, "--skip-faulty"], skips=True)
    return replace(call, good=lambda: None)


def _lacking(table: Path, names: list[str]) -> str | None:
    if not table.is_file():
        return f"no {table.name}"
    text = table.read_text()
    lacking = [name for name in names if name not in text]
    return f"{', '.join(lacking)} lack in {table.name}" if lacking else None


def _not_converted(raw: Path, cases: list[str]) -> str | None:
    written = " ".join(file.name for file in raw.rglob("labelsTr/*.nii.gz"))
    lacking = [case for case in cases if case not in written]
    return f"{', '.join(lacking)} was not converted" if lacking else None


def _damage_bytes(rng: np.random.Generator, file: Path) -> str:
    how = str(rng.choice(sorted(BYTES)))
    BYTES[how](rng, file)
    return how


def _damage_image(rng: np.random.Generator, file: Path) -> str:
    """Damages bytes, or one thing in a NIfTI file."""
    if rng.random() < 0.4:
        return _damage_bytes(rng, file)
    how = str(rng.choice(sorted(SCANS)))
    SCANS[how](rng, file)
    return how


def _damage_any(rng: np.random.Generator, file: Path) -> str:
    if zipfile.is_zipfile(file):
        return damage_archive(rng, file)
    if file.suffix == ".json" and rng.random() < 0.7:
        return damage_json(rng, file)
    return _damage_bytes(rng, file)

"""One JSON file for each training, with its recipe, scores and times; the runner writes it, the comparison reads it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmarks.compare import provenance
from nnunet_eas.support.files import write_text

Result = dict[str, Any]

RECIPE = ("dataset", "data", "configuration", "arm", "trainer", "plan", "fold", "seed", "schedule", "code")
"""Everything that a result depends on except the machine. `arm` is the network's name in `networks.NETWORKS`."""

CONTENT = {
    *("recipe", "key", "planned", "device", "resumed", "step_seconds_median", "epochs", "definitions"),
    *("environment", "per_case"),
}
METRICS = ("dice", "iou", "precision", "recall", "hd_mm", "hd95_mm", "assd_mm", "nsd")


def key(recipe: dict[str, Any], without: tuple[str, ...] = ()) -> str:
    """A short hash of a recipe, or of the part of it that several recipes share."""
    content = {name: value for name, value in recipe.items() if name not in without}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def file_name(recipe: dict[str, Any]) -> str:
    """The path of a result below the folder of results; every recipe has its own."""
    r = recipe
    return f"{r['dataset']}/{r['configuration']}_{r['arm']}_seed{r['seed']}_fold{r['fold']}_{key(r)}.json"


def find(folder: Path, recipe: dict[str, Any]) -> Path | None:
    """The file with the result of a recipe, or of one with sources that compute the same."""
    for sources in provenance.equivalents(recipe["code"]["sources"]):
        path = folder / file_name({**recipe, "code": {**recipe["code"], "sources": sources}})
        if path.is_file():
            return path
    return None


def write(folder: Path, result: Result) -> None:
    """Writes one result, a line for each case and structure."""
    cases = ",\n".join(json.dumps(case) for case in result["per_case"])
    rest = json.dumps({**result, "per_case": []}, indent=1)
    path = folder / file_name(result["recipe"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, rest.replace('"per_case": []', f'"per_case": [\n{cases}\n ]') + "\n")


def read(path: Path) -> Result:
    """One result; sources that compute the same as earlier ones are named by the earlier fingerprint.

    Raises:
        ValueError: The file is no result, or its recipe is not the one in its name.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        assert set(result) >= CONTENT
        assert set(result["recipe"]) == set(RECIPE)
        assert result["per_case"]
        assert all(set(record) >= {"case", "label", *METRICS} for record in result["per_case"])
        named = file_name(result["recipe"])
        code = result["recipe"]["code"]
        code["sources"] = provenance.original(code["sources"])
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError(
            f"{path} must be a result of runner.py, got something else. Remove it and run again."
        ) from error
    if named != f"{path.parent.name}/{path.name}":
        raise ValueError(f"{path} must have the name of its content, {named}. Rename it, or remove it.")
    return result


def read_all(folder: Path) -> tuple[list[Result], list[str]]:
    """All results of a folder, and why the other JSON files in it are none."""
    results, faults = [], []
    seen: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            result = read(path)
            first = seen.setdefault(path.name, path)
            if first != path:
                raise ValueError(f"{path} must exist once, got {first} as well. Remove one of them.")
            results.append(result)
        except ValueError as error:
            faults.append(str(error))
    return results, faults

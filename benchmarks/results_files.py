"""One JSON for each training: what it was made of, its scores, its cost; from the runner to the comparison."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Result = dict[str, Any]
"""recipe, key, cases, scores, epochs, network, environment."""

RECIPE = ("dataset", "data", "configuration", "arm", "trainer", "plan", "fold", "seed", "schedule", "code")
"""All that a result depends on but the machine; two results of one recipe are the same run."""


CONTENT = {
    *("recipe", "key", "planned", "device", "resumed", "step_seconds_median", "epochs", "definitions"),
    *("environment", "per_case"),
}
OF_A_CASE = ("dice", "iou", "precision", "recall", "hd_mm", "hd95_mm", "assd_mm", "nsd")


def key(recipe: dict[str, Any], without: tuple[str, ...] = ()) -> str:
    """A short name for a recipe, or for what it has in common with others."""
    content = {name: value for name, value in recipe.items() if name not in without}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def file_name(recipe: dict[str, Any]) -> str:
    """Below the folder of results: says which run it is, and that another recipe is another file."""
    r = recipe
    return f"{r['dataset']}/{r['configuration']}_{r['arm']}_seed{r['seed']}_fold{r['fold']}_{key(r)}.json"


def write(folder: Path, result: Result) -> None:
    """Writes one result, a line a case, under a temporary name first."""
    path = folder / file_name(result["recipe"])
    path.parent.mkdir(parents=True, exist_ok=True)
    cases = ",\n".join(json.dumps(case) for case in result["per_case"])
    rest = json.dumps({**result, "per_case": []}, indent=1)
    temporary = path.with_suffix(".part")
    temporary.write_text(rest.replace('"per_case": []', f'"per_case": [\n{cases}\n ]') + "\n")
    temporary.replace(path)


def read(path: Path) -> Result:
    """One result.

    Raises:
        ValueError: The file is no result, or its recipe is not the one in its name.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        assert set(result) >= CONTENT
        assert set(result["recipe"]) == set(RECIPE)
        assert result["per_case"]
        assert all(set(record) >= {"case", "label", *OF_A_CASE} for record in result["per_case"])
        named = file_name(result["recipe"])
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError(
            f"{path} must be a result of runner.py, got something else. Remove it and run again."
        ) from error
    if named != f"{path.parent.name}/{path.name}":
        raise ValueError(f"{path} must bear the name of its content, {named}. Rename it, or remove it.")
    return result


def read_all(folder: Path) -> Iterator[tuple[Path, Result | ValueError]]:
    """Every file of a folder of results, or what is wrong with it."""
    there: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            result = read(path)
            first = there.setdefault(path.name, path)
            if first != path:
                raise ValueError(f"{path} must be there once, got {first} as well. Remove one of them.")
            yield path, result
        except ValueError as error:
            yield path, error

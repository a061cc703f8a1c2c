"""The page: page.html, filled in; Jinja escapes all text from outside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nnunet_eas.evaluation.cases import Faults
from nnunet_eas.reporting.charts import distribution, model_mark, number_text, structure_mark, training
from nnunet_eas.reporting.columns import COLUMNS, DRAWN, Column
from nnunet_eas.reporting.model import Model
from nnunet_eas.reporting.pictures import Pictures
from nnunet_eas.reporting.settings import compared, measured_with, settings
from nnunet_eas.reporting.training_log import Curve
from nnunet_eas.reporting.view import MARGIN

_FOLDER = Path(__file__).parent

TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
TEMPLATES.globals |= {"distribution_of": distribution, "training_of": training, "margin": MARGIN}
TEMPLATES.filters |= {"pixels": "{:.1f}".format, "number": number_text}
TEMPLATES.policies["json.dumps_kwargs"] = {"separators": (",", ":")}


def page(
    models: Sequence[Model],
    contents: Mapping[str, Mapping[str, Any]],
    *,
    folds: Mapping[str, Mapping[str, str]],
    curves: Mapping[str, Mapping[str, Curve]],
    scores: Mapping[str, float],
    roles: Mapping[str, str],
    pictures: Sequence[Pictures],
    left_out: Faults,
    notes: Sequence[str],
) -> str:
    """The whole HTML document. The same arguments give the same bytes.

    Mappings are by the models' names in their order on the page, then by case or fold; `contents` has the results of
    `summarise` for the cases that all models have. `scores` are by case, and `roles` by case that is shown.
    """

    def values_of(structure: str, column: Column) -> dict[str, dict[str, float]]:
        return {
            model: {
                record["case"]: record[column.key]
                for record in content["per_case"]
                if record["label"] == structure and record[column.key] is not None
            }
            for model, content in contents.items()
        }

    dice: dict[str, dict[str, dict[str, float]]] = {case: {name: {} for name in contents} for case in roles}
    # all models have the same cases and structures in the same order; their rows alternate, to be compared at a glance
    rows = [
        (name, folds[name][record["case"]], record)
        for records in zip(*(content["per_case"] for content in contents.values()), strict=True)
        for name, record in zip(contents, records, strict=True)
    ]
    for name, _, record in rows:
        if record["case"] in dice:
            dice[record["case"]][name][record["label"]] = record["dice"]
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return TEMPLATES.get_template("page.html").render(
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        dataset=models[0].dataset_name,
        models=list(contents),
        marks={name: model_mark(index) for index, name in enumerate(contents)},
        structures={name: structure_mark(index) for index, name in enumerate(models[0].structures.values)},
        columns=COLUMNS,
        drawn=DRAWN,
        contents=contents,
        values_of=values_of,
        rows=rows,
        pictures=pictures,
        roles=roles,
        scores=scores,
        dice=dice,
        curves=curves,
        settings=compared({model.name: settings(model, curves[model.name]) for model in models}),
        versions=measured_with(),
        left_out=left_out,
        notes=notes,
    )


def _hash(content: str) -> str:
    """The hash by which the page's content security policy allows its own style and script, and nothing else."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"

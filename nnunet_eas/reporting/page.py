"""The page, put together from its parts; its style and script are page.css and page.js."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template

from nnunet_eas.evaluation.cases import Faults
from nnunet_eas.reporting.case_viewer import case_viewer, structure_legend
from nnunet_eas.reporting.choice import RULE
from nnunet_eas.reporting.columns import COLUMNS, DRAWN, Column
from nnunet_eas.reporting.curves import model_legend, training_charts
from nnunet_eas.reporting.distributions import distribution
from nnunet_eas.reporting.model import Model
from nnunet_eas.reporting.pictures import Pictures
from nnunet_eas.reporting.settings import measured_with, settings, settings_table
from nnunet_eas.reporting.tables import Content, cases_table, filters, means_table
from nnunet_eas.reporting.training_log import Curve


@dataclass(frozen=True)
class Findings:
    """The content of the page."""

    models: Sequence[Model]  # in their order on the page
    contents: Mapping[str, Content]  # by model, the result of `summarise` for the cases that all models have
    folds: Mapping[str, Mapping[str, str]]  # by model and case, the fold that predicted it
    curves: Mapping[str, Mapping[str, Curve]]  # by model and fold, the training curve
    scores: Mapping[str, float]  # by case, the score that orders the cases
    roles: Mapping[str, str]  # the cases that are shown, each as best, median or worst
    pictures: Sequence[Pictures]  # the pictures of these cases, in the same order
    left_out: Faults  # cases that are not compared, with the reasons
    notes: Sequence[str]  # further sentences for the reader


def page(findings: Findings) -> str:
    """The whole HTML document. The same findings give the same bytes."""
    style, script = _file("page.css"), _file("page.js")
    models = [model.name for model in findings.models]
    structures = list(findings.models[0].structures.values)
    first = findings.contents[models[0]]
    dataset = findings.models[0].dataset_name
    return Template(_file("page.html")).substitute(
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        dataset=escape(dataset),
        overview=_overview(findings),
        models=model_legend(models),
        curves=training_charts(findings.curves),
        means=means_table(findings.contents, structures),
        distributions="".join(_distributions(column, findings.contents, structures) for column in DRAWN),
        filters=filters(structures, models),
        cases=cases_table(findings.contents, findings.folds),
        rule=escape(RULE),
        structures=structure_legend(structures),
        viewers="".join(_viewer(findings, number) for number in range(len(findings.pictures))),
        settings=settings_table(
            {model.name: settings(model, findings.curves[model.name]) for model in findings.models}
        ),
        versions=escape(measured_with()),
        definitions=_definitions(first["definitions"]),
    )


def _overview(findings: Findings) -> str:
    cases = findings.contents[findings.models[0].name]["cases"]
    count = "1 case" if cases == 1 else f"{cases} cases"
    models = (
        "1 model" if len(findings.models) == 1 else f"{len(findings.models)} models, on the cases that all of them have"
    )
    parts = [f"<p><strong>{count}</strong> of cross-validation, {models}.</p>"]
    parts += [f'<p class="fault">{escape(note)}</p>' for note in findings.notes]
    if findings.left_out:
        items = "".join(f"<li>{escape(case)}: {escape('; '.join(why))}</li>" for case, why in findings.left_out.items())
        parts.append(f"<details><summary>{len(findings.left_out)} left out</summary><ul>{items}</ul></details>")
    return "".join(parts)


def _distributions(column: Column, contents: Mapping[str, Content], structures: Sequence[str]) -> str:
    charts = []
    for structure in structures:
        values = {
            model: [
                (record["case"], record[column.key])
                for record in content["per_case"]
                if record["label"] == structure and record[column.key] is not None
            ]
            for model, content in contents.items()
        }
        charts.append(distribution(structure, column, values))
    is_open = " open" if column is DRAWN[0] else ""
    summary = f"<summary>{escape(column.head)}</summary>"
    return f'<details{is_open}>{summary}<div class="charts">{"".join(charts)}</div></details>'


def _viewer(findings: Findings, number: int) -> str:
    pictures = findings.pictures[number]
    case = pictures.case
    dice = {
        model: {record["label"]: record["dice"] for record in content["per_case"] if record["case"] == case}
        for model, content in findings.contents.items()
    }
    return case_viewer(pictures, findings.roles[case], findings.scores[case], dice, number)


def _definitions(sentences: Mapping[str, str]) -> str:
    """The definitions of the numbers on the page, by their heads there, and of the distances behind them."""
    heads = {column.key: column.head for column in COLUMNS}
    heads |= {"surface_distances_mm": "surface_distances_mm", "ignore_label": "Ignore label"}
    entries = "".join(
        f"<dt>{escape(head)}</dt><dd>{escape(sentences[key].replace('``', ''))}</dd>"
        for key, head in heads.items()
        if key in sentences
    )
    return f"<dl>{entries}</dl>"


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """The hash by which the page's content security policy allows its own style and script, and nothing else."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"

"""The numbers as tables: means of every model and structure, and a row for each case, structure and model."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from nnunet_eas.reporting.columns import COLUMNS, Column

_FOREGROUND = "mean of the structures"

Content = Mapping[str, Any]
"""The result of `evaluation.summary.summarise` for one model."""


def means_table(contents: Mapping[str, Content], structures: list[str]) -> str:
    """Mean and standard deviation by structure and model."""
    groups = []
    for structure in structures:
        rows = [(model, _means(content, structure)) for model, content in contents.items()]
        groups.append(_group(structure, rows))
    if len(structures) > 1:
        foreground = [
            (model, [column.text(content["mean"]["foreground"][column.key]) for column in COLUMNS])
            for model, content in contents.items()
        ]
        groups.append(_group(_FOREGROUND, foreground))
    heads = "".join(f'<th scope="col" class="number">{escape(column.head)}</th>' for column in COLUMNS)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Means"><table><caption>Mean ± sample standard '
        "deviation over the cases; the mean of the structures is the mean of their means. Cases in which a number is "
        "undefined are left out of its mean; the number of the other cases then stands beside it.</caption>"
        f'<thead><tr><th scope="col">Structure</th><th scope="col">Model</th>{heads}</tr>'
        f"</thead>{''.join(groups)}</table></div>"
    )


def cases_table(contents: Mapping[str, Content], folds: Mapping[str, Mapping[str, str]]) -> str:
    """A row for each case, structure and model; the page's script makes the table sortable.

    Args:
        contents: By model.
        folds: By model and case, the fold that predicted it.
    """
    # all models have the same cases and structures in the same order; their rows alternate, to be compared at a glance
    body = "".join(
        f'<tr><th scope="row">{escape(record["case"])}</th><td>{escape(record["label"])}</td><td>{escape(model)}</td>'
        f"<td>{escape(folds[model][record['case']])}</td>{''.join(_number_cell(column, record) for column in COLUMNS)}"
        "</tr>"
        for records in zip(*(content["per_case"] for content in contents.values()), strict=True)
        for model, record in zip(contents, records, strict=True)
    )
    texts = "".join(f'<th scope="col">{name}</th>' for name in ("Case", "Structure", "Model", "Fold"))
    numbers = "".join(f'<th scope="col" class="number">{escape(column.head)}</th>' for column in COLUMNS)
    return (
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Every case"><table id="cases"><caption>Every '
        f"case. A dash: undefined.</caption><thead><tr>{texts}{numbers}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def filters(structures: list[str], models: list[str]) -> str:
    """The filters of the table of all cases; hidden until the script shows them."""
    selects = "".join(
        f'<label>{name} <select data-column="{column}"><option value="">all</option>'
        f"{''.join(f'<option>{escape(value)}</option>' for value in values)}</select></label>"
        for name, column, values in (("Structure", 1, structures), ("Model", 2, models))
        if len(values) > 1
    )
    return (
        '<form id="filters" hidden><label>Case contains <input type="search" data-column="0" autocomplete="off">'
        f'</label>{selects}<output aria-live="polite"></output></form>'
    )


def _group(structure: str, rows: list[tuple[str, list[str]]]) -> str:
    lines = []
    for number, (model, cells) in enumerate(rows):
        head = f'<th scope="rowgroup" rowspan="{len(rows)}">{escape(structure)}</th>' if number == 0 else ""
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        lines.append(f'<tr>{head}<th scope="row">{escape(model)}</th>{numbers}</tr>')
    return f"<tbody>{''.join(lines)}</tbody>"


def _means(content: Content, structure: str) -> list[str]:
    cells = []
    for column in COLUMNS:
        mean = content["mean"]["labels"][structure][column.key]
        spread = content["standard_deviation"][structure][column.key]
        left_out = content["left_out"][structure][column.key]
        text = column.text(mean) + (f" ± {column.text(spread)}" if spread is not None else "")
        some = (
            f' <span class="of">({content["cases"] - left_out} cases)</span>' if left_out and mean is not None else ""
        )
        cells.append(text + some)
    return cells


def _number_cell(column: Column, record: Mapping[str, Any]) -> str:
    value = record[column.key]
    sort_by = "" if value is None else f"{value:.6g}"
    return f'<td class="number" data-value="{sort_by}">{column.text(value)}</td>'

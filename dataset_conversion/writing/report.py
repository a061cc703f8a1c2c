"""Report of a conversion: a table of all cases, and a page with a picture of each."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataset_conversion.faults import Faults
from dataset_conversion.writing.cases import TILES
from dataset_conversion.writing.output_folder import CONVERSION
from dataset_conversion.writing.tiles import COLOURS
from nnunet_eas.support.files import write_text

TABLE = CONVERSION / "report.csv"
PAGE = CONVERSION / "report.html"

_STYLE = """
body { font: 14px sans-serif; margin: 1em; background: #fff; color: #111 }
main { display: flex; flex-wrap: wrap; gap: 8px }
figure { margin: 0; width: 250px } img { display: block; height: 240px; max-width: 250px; object-fit: contain }
figcaption b { display: block } .odd figcaption { background: #ffe9c7 } .odd span { font-weight: bold }
"""


def write_report(folder: Path, records: Mapping[str, Mapping[str, Any]], faults: Faults) -> None:
    """Writes `conversion/report.csv` and `conversion/report.html`: odd cases first, then all others by identifier.

    Args:
        folder: The dataset's folder.
        records: The records of the converted cases.
        faults: The faults of the skipped cases.
    """
    order = sorted(records, key=lambda case: (not records[case].get("anomalies"), case))
    structures = sorted({name: None for case in order for name in records[case].get("voxels", {})})
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    header = ["case", "patient", "state", "remarks", "shape_zyx", "spacing_zyx_mm", "obliquity_deg"]
    writer.writerow([*header, *(f"{name}_mm3" for name in structures)])
    for case in sorted(faults):
        writer.writerow([case, "", "skipped", "; ".join(faults[case]), *[""] * (3 + len(structures))])
    for case in order:
        record = records[case]
        voxel_mm3 = float(np.prod(record["spacing"]))
        writer.writerow(
            [
                case,
                record["patient"],
                "look" if record.get("anomalies") else "ok",
                "; ".join(record.get("anomalies", ())),
                "x".join(map(str, record["shape"])),
                "x".join(f"{s:g}" for s in record["spacing"]),
                record["obliquity_deg"],
                *(round(record["voxels"][name] * voxel_mm3, 1) if "voxels" in record else "" for name in structures),
            ]
        )
    write_text(folder / TABLE, table.getvalue())
    write_text(folder / PAGE, _page(folder, records, order, faults))


def sagittal_warnings(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A warning where nnU-Net's 2d configuration would slice along another axis than left-right."""
    spacings = [record["spacing"] for record in records.values() if len(record["spacing"]) == 3]
    if not spacings:
        return []
    z, y, x = np.median(spacings, axis=0)
    if x >= max(z, y):
        return []
    return [
        f"nnU-Net's 2d configuration slices across the axis of largest spacing. Here (x {x:.3g}, y {y:.3g}, z {z:.3g} "
        "mm) that is not left-right: its slices will not be sagittal."
    ]


def _page(folder: Path, records: Mapping[str, Mapping[str, Any]], order: list[str], faults: Faults) -> str:
    odd = sum(bool(records[case].get("anomalies")) for case in order)
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(folder.name)}</title><style>{_STYLE}</style>",
        f"<h1>{html.escape(folder.name)}</h1>",
        f"<p>{len(order)} cases, {odd} to look at (first), {len(faults)} skipped. Each tile is the sagittal slice with "
        "most cartilage; head up, front to the left.</p>",
    ]
    names = next((list(records[case]["voxels"]) for case in order if "voxels" in records[case]), [])
    legend = (
        f"<span style='border-left: 1em solid rgb{COLOURS[i % len(COLOURS)]}; padding: 0 1em 0 .3em'>"
        f"{html.escape(name.replace('_', ' '))}</span>"
        for i, name in enumerate(names)
    )
    parts.append(f"<p>{''.join(legend)}</p>")
    for case in sorted(faults):
        parts.append(f"<p>skipped {html.escape(case)}: {html.escape('; '.join(faults[case]))}</p>")
    parts.append("<main>")
    for case in order:
        remarks = records[case].get("anomalies", [])
        picture = folder / TILES / f"{case}.png"
        image = base64.b64encode(picture.read_bytes()).decode() if picture.is_file() else ""
        parts.append(
            f"<figure{' class=odd' if remarks else ''}><img alt='{html.escape(case)}' "
            f"src='data:image/png;base64,{image}'><figcaption><b>{html.escape(case)}</b>"
            f"<span>{html.escape('; '.join(remarks))}</span></figcaption></figure>"
        )
    parts.append("</main>")
    return "\n".join(parts) + "\n"

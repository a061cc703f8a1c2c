"""Report of a conversion: a table of all cases, and a page with a picture of each."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataset_conversion.faults import Faults
from dataset_conversion.writing.cases import TILES
from dataset_conversion.writing.output_folder import CONVERSION
from dataset_conversion.writing.tiles import COLOURS
from nnunet_eas.support.files import write_csv, write_text

TABLE = CONVERSION / "report.csv"
PAGE = CONVERSION / "report.html"

_STYLE = """
body { font: 14px sans-serif; margin: 1em; background: #fff; color: #111 }
main { display: flex; flex-wrap: wrap; gap: 8px }
figure { margin: 0; width: 250px } img { display: block; height: 240px; max-width: 250px; object-fit: contain }
figcaption b { display: block } .odd figcaption { background: #ffe9c7 } .odd span { font-weight: bold }
"""


def write_report(folder: Path, records: Mapping[str, Mapping[str, Any]], faults: Faults) -> None:
    """Writes `conversion/report.csv` and `conversion/report.html`: odd cases first, then all others by identifier."""
    order = sorted(records, key=lambda case: (not records[case].get("anomalies"), case))
    structures = sorted({name for case in order for name in records[case].get("voxels", {})})
    columns = ["case", "patient", "state", "remarks", "shape_zyx", "spacing_zyx_mm", "obliquity_deg"]
    rows = [{"case": case, "state": "skipped", "remarks": "; ".join(found)} for case, found in sorted(faults.items())]
    for case in order:
        record = records[case]
        voxel_mm3 = float(np.prod(record["spacing"]))
        row = {
            "case": case,
            "patient": record["patient"],
            "state": "look" if record.get("anomalies") else "ok",
            "remarks": "; ".join(record.get("anomalies", ())),
            "shape_zyx": "x".join(map(str, record["shape"])),
            "spacing_zyx_mm": "x".join(f"{s:g}" for s in record["spacing"]),
            "obliquity_deg": record["obliquity_deg"],
        }
        volumes = {f"{name}_mm3": round(n * voxel_mm3, 1) for name, n in record.get("voxels", {}).items()}
        rows.append(row | volumes)
    write_csv(folder / TABLE, [*columns, *(f"{name}_mm3" for name in structures)], rows)
    write_text(folder / PAGE, _page(folder, records, order, faults))


def sagittal_warnings(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A warning where nnU-Net's 2d configuration would slice along another axis than left-right."""
    spacings = [record["spacing"] for record in records.values()]
    z, y, x = np.median(spacings, axis=0) if spacings else (0, 0, 0)
    if x >= max(z, y):
        return []
    return [
        f"nnU-Net's 2d configuration slices across the axis of largest spacing. Here (x {x:.3g}, y {y:.3g}, z {z:.3g} "
        "mm) that is not left-right: its slices will not be sagittal."
    ]


def _page(folder: Path, records: Mapping[str, Mapping[str, Any]], order: list[str], faults: Faults) -> str:
    title = html.escape(folder.name)
    odd = sum(bool(records[case].get("anomalies")) for case in order)
    names = next((list(records[case]["voxels"]) for case in order if "voxels" in records[case]), [])
    legend = (
        f"<span style='border-left: 1em solid rgb{COLOURS[i % len(COLOURS)]}; padding: 0 1em 0 .3em'>"
        f"{html.escape(name.replace('_', ' '))}</span>"
        for i, name in enumerate(names)
    )
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>{title}</title><style>{_STYLE}</style>",
        f"<h1>{title}</h1>",
        f"<p>{len(order)} cases, {odd} to look at (first), {len(faults)} skipped. Each tile is the sagittal slice with "
        "most cartilage; head up, front to the left.</p>",
        f"<p>{''.join(legend)}</p>",
        *(f"<p>skipped {html.escape(case)}: {html.escape('; '.join(faults[case]))}</p>" for case in sorted(faults)),
        "<main>",
    ]
    for case in order:
        remarks, picture, name = records[case].get("anomalies", []), folder / TILES / f"{case}.png", html.escape(case)
        image = base64.b64encode(picture.read_bytes()).decode() if picture.is_file() else ""
        parts.append(
            f"<figure{' class=odd' if remarks else ''}><img alt='{name}' "
            f"src='data:image/png;base64,{image}'><figcaption><b>{name}</b>"
            f"<span>{html.escape('; '.join(remarks))}</span></figcaption></figure>"
        )
    return "\n".join([*parts, "</main>"]) + "\n"

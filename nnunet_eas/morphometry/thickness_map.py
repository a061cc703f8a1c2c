"""A picture of a layer's thickness, from the directions that show most of its surface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from nnunet_eas.morphometry.regions import in_patient
from nnunet_eas.morphometry.surface import Surface
from nnunet_eas.support.files import replacing

SCALES_MM = (5, 10)
"""Possible ends of the colour bar: few, so that pictures can be compared."""

_ENDS = (("right", "left"), ("front", "back"), ("feet", "head"))
"""Start and end of each axis of LPS."""

_UNMEASURED = (0.8, 0.8, 0.8, 1.0)


def draw_thickness(
    path: Path, surface: Surface, thickness: np.ndarray, direction: tuple[float, ...], bone: Surface | None, title: str
) -> None:
    """Writes a PNG: viridis from 0 mm, grey where there is no thickness.

    The views are along the patient's axes: the one that most of the surface faces, and others that show at least half
    as much. They look from the side away from the bone; without a bone from the left, the front or above. At least one
    number in `thickness` must not be NaN.
    """
    points, normals = in_patient(surface.points, direction), in_patient(surface.normals, direction)
    shown = surface.areas_mm2 @ np.abs(normals)
    axes = [axis for axis in np.argsort(-shown) if shown[axis] >= shown.max() / 2]
    away = np.array([1.0, -1.0, 1.0])
    if bone is not None:
        away = points.mean(axis=0) - in_patient(bone.points, direction).mean(axis=0)
    norm = Normalize(0, next((s for s in SCALES_MM if np.nanpercentile(thickness, 95) <= s), SCALES_MM[-1]))

    figure = Figure(figsize=(1.5 + 5 * len(axes), 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    views = figure.subplots(1, len(axes), squeeze=False)[0]
    for view, axis in zip(views, axes, strict=True):
        towards = np.sign(away[axis]) * np.eye(3)[axis]
        up = np.array([0.0, -1.0, 0.0]) if axis == 2 else np.array([0.0, 0.0, 1.0])
        across = np.cross(up, towards)
        faces = surface.faces[(normals @ towards)[surface.faces].mean(axis=1) > 0]
        faces = faces[np.argsort((points @ towards)[faces].mean(axis=1))]  # the nearest last, over all others
        colours = colormaps["viridis"](norm(thickness[faces].mean(axis=1)))
        colours[np.isnan(thickness[faces]).any(axis=1)] = _UNMEASURED
        flat = np.stack([points @ across, points @ up], axis=1)
        flat -= flat.min(axis=0)
        view.add_collection(PolyCollection(flat[faces], facecolors=colours, edgecolors="none", antialiased=False))
        view.set_aspect("equal")
        view.autoscale_view()
        view.set(xlabel=f"{_way(across)}, mm", ylabel=f"{_way(up)}, mm")
    figure.suptitle(title)
    figure.colorbar(ScalarMappable(norm, "viridis"), ax=views, extend="max", label="thickness, mm; grey: none")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _way(vector: np.ndarray) -> str:
    axis = int(np.argmax(np.abs(vector)))
    ends = _ENDS[axis] if vector[axis] > 0 else _ENDS[axis][::-1]
    return " to ".join(ends)

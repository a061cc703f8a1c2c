"""The numbers that compare two binary masks; each definition says what an empty mask gives.

Masks are arrays of equal shape and any dimension; non-zero means inside. R is the reference, P the prediction.
``spacing`` is mm, in array order. `measure` gives all numbers at once; the other functions define them.

The docstrings go into result files word for word, and results are compared by them: leave them as they are.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence

import numpy as np

from nnunet_eas.evaluation.surfaces import as_masks, check_spacing, surface_distances_mm

_SPARE = 1e-6
_NAN = float("nan")


def measure(
    *, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], tolerance_mm: float
) -> dict[str, float]:
    """All numbers of one pair of masks, by their names in ``DEFINED_BY``, from one search for surface distances."""
    check_tolerance(tolerance_mm)
    distances = surface_distances_mm(reference=reference, prediction=prediction, spacing=spacing)
    volumes = [volume_mm3(mask=mask, spacing=spacing) for mask in (reference, prediction)]
    overlap = _overlap(reference, prediction)
    return {
        **overlap,
        **_of_surfaces(distances),
        "nsd": _nsd(distances, tolerance_mm, if_empty=overlap["dice"]),
        "volume_ref_mm3": volumes[0],
        "volume_pred_mm3": volumes[1],
        "volume_difference_mm3": volumes[1] - volumes[0],
    }


def dice(*, reference: np.ndarray, prediction: np.ndarray) -> float:
    """Dice similarity coefficient, 2 |R and P| / (|R| + |P|), 0..1. NaN where both masks are empty, 0 where one is."""
    return _overlap(reference, prediction)["dice"]


def iou(*, reference: np.ndarray, prediction: np.ndarray) -> float:
    """Intersection over union (Jaccard), |R and P| / |R or P|, 0..1. NaN where both masks are empty, 0 where one is."""
    return _overlap(reference, prediction)["iou"]


def precision(*, reference: np.ndarray, prediction: np.ndarray) -> float:
    """Share of the prediction that is right, |R and P| / |P|, 0..1. NaN where the prediction is empty."""
    return _overlap(reference, prediction)["precision"]


def recall(*, reference: np.ndarray, prediction: np.ndarray) -> float:
    """Share of the reference that was found, |R and P| / |R|, 0..1. NaN where the reference is empty."""
    return _overlap(reference, prediction)["recall"]


def hausdorff_mm(*, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]) -> float:
    """Hausdorff distance of the surfaces in mm: the larger of the two directions' largest surface distances.

    NaN where a mask is empty: there is no distance to nothing. Surfaces are as in ``surface_distances_mm``.
    """
    distances = surface_distances_mm(reference=reference, prediction=prediction, spacing=spacing)
    return _of_surfaces(distances)["hd_mm"]


def hd95_mm(*, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]) -> float:
    """Hausdorff distance but for outliers, in mm: the larger of the two directions' 95th percentiles of distances.

    Each percentile is over one surface's voxels, interpolated linearly between two distances, as in MONAI. It is not
    the percentile of both directions pooled (MedPy), nor one that weighs distances by surface area and does not
    interpolate (DeepMind's surface-distance). NaN where a mask is empty. Surfaces are as in ``surface_distances_mm``.
    """
    distances = surface_distances_mm(reference=reference, prediction=prediction, spacing=spacing)
    return _of_surfaces(distances)["hd95_mm"]


def assd_mm(*, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]) -> float:
    """Average symmetric surface distance in mm: the mean of both directions' surface distances pooled.

    Each surface voxel counts once, as in the SLIVER07 challenge and in MONAI. It is not the mean of the two directions'
    means (MedPy), nor weighed by surface area (DeepMind's surface-distance). NaN where a mask is empty. Surfaces are as
    in ``surface_distances_mm``.
    """
    distances = surface_distances_mm(reference=reference, prediction=prediction, spacing=spacing)
    return _of_surfaces(distances)["assd_mm"]


def nsd(*, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], tolerance_mm: float) -> float:
    """Normalised surface distance, or surface Dice: the share of both masks' surface voxels near the other surface.

    0..1, both surfaces' voxels pooled, each of them counting once, as in MONAI; DeepMind's surface-distance weighs them
    by area. Near is within tolerance_mm, the tolerance itself included, and a millionth of it more: files hold spacings
    in single precision. NaN where both masks are empty, 0 where one is. Surfaces are as in ``surface_distances_mm``.
    """
    check_tolerance(tolerance_mm)
    distances = surface_distances_mm(reference=reference, prediction=prediction, spacing=spacing)
    return _nsd(distances, tolerance_mm, if_empty=dice(reference=reference, prediction=prediction))


def volume_mm3(*, mask: np.ndarray, spacing: Sequence[float]) -> float:
    """Volume of a mask in mm3: its voxels times the product of the spacing. A 2-D image counts as 1 mm thick."""
    check_spacing(spacing, mask.ndim)
    return float(np.count_nonzero(mask) * math.prod(spacing))


def volume_difference_mm3(*, reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]) -> float:
    """The prediction's volume minus the reference's, in mm3: positive where too much was found."""
    reference, prediction = as_masks(reference, prediction)
    return volume_mm3(mask=prediction, spacing=spacing) - volume_mm3(mask=reference, spacing=spacing)


DEFINED_BY: dict[str, Callable] = {
    "dice": dice,
    "iou": iou,
    "precision": precision,
    "recall": recall,
    "hd_mm": hausdorff_mm,
    "hd95_mm": hd95_mm,
    "assd_mm": assd_mm,
    "nsd": nsd,
    "volume_ref_mm3": volume_mm3,
    "volume_pred_mm3": volume_mm3,
    "volume_difference_mm3": volume_difference_mm3,
}
"""Each number's name in tables and files, and the function whose docstring defines it."""


def definition(function: Callable) -> str:
    """The part of a function's docstring before the results, on one line."""
    return " ".join((inspect.getdoc(function) or "").split("\nReturns:")[0].split())


def check_tolerance(tolerance_mm: float) -> None:
    """Raises ValueError unless the tolerance is a finite length."""
    if not 0 <= tolerance_mm < np.inf:
        raise ValueError(f"tolerance_mm must be 0 or more, got {tolerance_mm}. Give a length in mm.")


def _overlap(reference: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    reference, prediction = as_masks(reference, prediction)
    common, in_reference, in_prediction = (
        int(np.count_nonzero(mask)) for mask in (reference & prediction, reference, prediction)
    )
    return {
        "dice": _ratio(2 * common, in_reference + in_prediction),
        "iou": _ratio(common, in_reference + in_prediction - common),
        "precision": _ratio(common, in_prediction),
        "recall": _ratio(common, in_reference),
    }


def _of_surfaces(distances: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    if not distances[0].size:
        return {"hd_mm": _NAN, "hd95_mm": _NAN, "assd_mm": _NAN}
    return {
        "hd_mm": float(max(direction.max() for direction in distances)),
        "hd95_mm": float(max(np.percentile(direction, 95) for direction in distances)),
        "assd_mm": float(np.concatenate(distances).mean()),
    }


def _nsd(distances: tuple[np.ndarray, np.ndarray], tolerance_mm: float, *, if_empty: float) -> float:
    """Without distances it equals Dice: 0 where one mask is empty, NaN where both are."""
    if not distances[0].size:
        return if_empty
    return float((np.concatenate(distances) <= tolerance_mm * (1 + _SPARE)).mean())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else _NAN

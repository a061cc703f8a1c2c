"""Defects of the mask and of the list of scans."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

import numpy as np
import SimpleITK as sitk

from nnunet_eas.phantom import LABELS
from nnunet_eas.phantom_archive.archive import write_mask
from phantom_defects.defect import Defect
from phantom_defects.files import CaseFiles

FOREIGN_LABEL = 7
SHIFT_MM = 6.0
_CLUSTER_EDGE = 2


def _relabel(files: CaseFiles, change: Callable[[np.ndarray], np.ndarray]) -> None:
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(files.mask)))
    write_mask(files.mask, change(labels), files.case.knee.spacing)


def _empty_structure(files: CaseFiles) -> None:
    _relabel(files, lambda labels: np.where(labels == LABELS["tibial_cartilage"], 0, labels))


def _isolated_cluster(files: CaseFiles) -> None:
    def add(labels: np.ndarray) -> np.ndarray:
        cartilage = np.argwhere(labels == LABELS["femoral_cartilage"])
        ends = [(0, edge - 1) for edge in labels.shape]

        def room_mm(corner: tuple[int, ...]) -> float:
            away = (cartilage - np.array(corner)) * files.case.knee.spacing
            return float(np.linalg.norm(away, axis=1).min(initial=np.inf))

        corner = max(product(*ends), key=room_mm)
        block = (slice(0, _CLUSTER_EDGE) if place == 0 else slice(-_CLUSTER_EDGE, None) for place in corner)
        labels[tuple(block)] = LABELS["femoral_cartilage"]
        return labels

    _relabel(files, add)


def _foreign_labels(files: CaseFiles) -> None:
    def add(labels: np.ndarray) -> np.ndarray:
        labels[tuple(slice(edge // 2, edge // 2 + 2) for edge in labels.shape)] = FOREIGN_LABEL
        return labels

    _relabel(files, add)


def _shifted_mask(files: CaseFiles) -> None:
    voxels = max(1, round(SHIFT_MM / files.case.knee.spacing[0]))
    # The lowest slice is repeated: an empty one would betray the shift.
    _relabel(files, lambda labels: labels[np.clip(np.arange(len(labels)) - voxels, 0, None)])


def _size_differs(files: CaseFiles) -> None:
    _relabel(files, lambda labels: labels[:, :, :-1])


def _header_size(files: CaseFiles) -> None:
    header = files.mask.read_bytes().decode()
    longer = re.sub(r"(DimSize = \d+ \d+) (\d+)", lambda match: f"{match[1]} {int(match[2]) + 1}", header)
    files.mask.write_bytes(longer.encode())


def _truncated_raw(files: CaseFiles) -> None:
    raw = files.mask.with_suffix(".raw")
    data = raw.read_bytes()
    raw.write_bytes(data[: len(data) // 2])


def _missing_mask(files: CaseFiles) -> None:
    files.mask.unlink()
    files.mask.with_suffix(".raw").unlink()


def _duplicate_id(files: CaseFiles) -> None:
    series = files.case.series
    line = f"{files.case.identifier}: {series.as_posix()}\n"
    other = line.replace(series.name, str(int(series.name) + 1))
    files.paths_list.write_bytes(files.paths_list.read_bytes().replace(line.encode(), (line + other).encode()))


MASK_DEFECTS: dict[Defect, Callable[[CaseFiles], None]] = {
    Defect.EMPTY_STRUCTURE: _empty_structure,
    Defect.ISOLATED_CLUSTER: _isolated_cluster,
    Defect.FOREIGN_LABELS: _foreign_labels,
    Defect.SHIFTED_MASK: _shifted_mask,
    Defect.SIZE_DIFFERS: _size_differs,
    Defect.HEADER_SIZE: _header_size,
    Defect.TRUNCATED_RAW: _truncated_raw,
    Defect.MISSING_MASK: _missing_mask,
    Defect.DUPLICATE_ID: _duplicate_id,
}

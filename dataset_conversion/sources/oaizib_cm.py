"""OAIZIB-CM: the knees of OAI-ZIB as NIfTI with a pose, with separate medial and lateral tibial cartilage.

`imagesTr/oaizib_001_0000.nii.gz`, `labelsTr/oaizib_001.nii.gz`; 001 to 404 train, the others test. The numbers are no
OAI ids: the subject tables (`subInfo_train.xlsx`, `subInfo_test.xlsx`, or the same as CSV) give the id for each number
in their column CMT-ID.
"""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

from dataset_conversion.case import Source
from dataset_conversion.sources.nnunet_raw import one_channel_cases

STRUCTURES = {
    1: "femur",
    2: "femoral_cartilage",
    3: "tibia",
    4: "medial_tibial_cartilage",
    5: "lateral_tibial_cartilage",
}
LICENCE = "CC BY-NC 4.0"
REFERENCE = (
    "Yao Y., Zhong J., Zhang L., Khan S., Chen W. (2024), CartiMorph: a framework for automated knee articular "
    "cartilage morphometrics, Medical Image Analysis 91. https://huggingface.co/datasets/YongchengYAO/OAIZIB-CM"
)


def find(source: Path) -> Source:
    """All cases of the folder with imagesTr, labelsTr, imagesTs, labelsTs and the subject tables."""
    found, without_mask = one_channel_cases(source, ".nii.gz")
    if not found and not without_mask:
        raise FileNotFoundError(
            f"--source must hold imagesTr with oaizib_001_0000.nii.gz and so on, got {source}. Unpack the "
            "archives there."
        )
    ids = _oai_ids(source)

    def identifier(name: str) -> str:
        return f"{name}_{ids[_number(name)]}" if _number(name) in ids else name

    cases = [
        replace(case, identifier=identifier(case.identifier), patient=ids.get(_number(case.identifier), case.patient))
        for case in found
        if not ids or _number(case.identifier) in ids
    ]
    faults = {identifier(name): fault for name, fault in without_mask.items()}
    known = {case.identifier for case in found} | set(without_mask)
    for name in known if ids else ():
        if _number(name) not in ids:
            faults[name] = ["its number is not in the subject tables' column CMT-ID. Get the tables anew."]
    for side in ("Tr", "Ts"):
        for mask in sorted((source / f"labels{side}").glob("*.nii.gz")):
            if (name := mask.name.removesuffix(".nii.gz")) not in known:
                faults[name] = [f"its image images{side}/{name}_0000.nii.gz is missing. Unpack images{side} as well."]
    return Source("oaizib-cm", tuple(cases), faults, STRUCTURES, LICENCE, REFERENCE)


def _number(text: str) -> str:
    """The number in a name or a cell, without leading zeros."""
    digits = re.findall(r"\d+", text)
    return digits[-1].lstrip("0") if digits else ""


def _oai_ids(source: Path) -> dict[str, str]:
    """OAI id for each CMT number, from all tables that have both."""
    found: dict[str, str] = {}
    for file in sorted(source.rglob("*.csv")) + sorted(source.rglob("*.xlsx")):
        cmt = None
        for row in _rows(file):
            if cmt is None:
                cmt = next((i for i, cell in enumerate(row) if re.sub(r"[^a-z]", "", cell.lower()) == "cmtid"), None)
                continue
            # the id's column has had several names, but no other cell of a row is a seven-digit number
            ids = {cell for i, cell in enumerate(row) if i != cmt and re.fullmatch(r"9\d{6}", cell)}
            if len(row) > cmt and _number(row[cmt]) and len(ids) == 1:
                found[_number(row[cmt])] = ids.pop()
    return found


def _rows(file: Path) -> list[list[str]]:
    if file.suffix == ".csv":
        try:
            with file.open(newline="", encoding="utf-8-sig") as f:
                return [[cell.strip() for cell in row] for row in csv.reader(f)]
        except (ValueError, csv.Error) as error:
            raise ValueError(
                f"{file.name} must be a table in UTF-8, got another file ({error}). Get it anew."
            ) from error
    try:
        import openpyxl
    except ImportError as error:
        raise ValueError(
            f'{file.name} needs openpyxl to be read. In the source folder: pip install ".[knee-data]"; or replace the '
            "file by a CSV."
        ) from error
    sheets = openpyxl.load_workbook(file, read_only=True, data_only=True)
    rows = [row for sheet in sheets for row in sheet.iter_rows(values_only=True)]
    sheets.close()
    return [["" if cell is None else str(cell).strip().removesuffix(".0") for cell in row] for row in rows]

"""OAIZIB-CM: the knees of OAI-ZIB as NIfTI with a pose, with separate medial and lateral tibial cartilage.

`imagesTr/oaizib_001_0000.nii.gz`, `labelsTr/oaizib_001.nii.gz`; 001 to 404 train, the others test. The numbers are no
OAI ids: the subject tables (`subInfo_train.xlsx`, `subInfo_test.xlsx`, or the same as CSV) give the id for each number
in their column CMT-ID.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from dataset_conversion.case import Case, Source
from dataset_conversion.image_files import ImageFile, MaskFile

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
    """All cases of the set.

    Args:
        source: Folder with imagesTr, labelsTr, imagesTs, labelsTs and the subject tables.

    Raises:
        FileNotFoundError: The folder holds no images.
        ValueError: A table can't be read.
    """
    images = sorted(f for side in ("Tr", "Ts") for f in (source / f"images{side}").glob("*_0000.nii.gz"))
    if not images:
        raise FileNotFoundError(
            f"--source must hold imagesTr with oaizib_001_0000.nii.gz and so on, got {source}. Unpack the "
            "archives there."
        )
    numbers = _oai_ids(source)
    cases, faults = [], {}
    for file in images:
        name, side = file.name.removesuffix("_0000.nii.gz"), file.parent.name[-2:]
        number = numbers.get(_number(name))
        identifier = f"{name}_{number}" if number else name
        mask = source / f"labels{side}" / f"{name}.nii.gz"
        if numbers and number is None:
            faults[identifier] = ["its number is not in the subject tables' column CMT-ID. Get the tables anew."]
        elif side == "Tr" and not mask.is_file():
            faults[identifier] = [f"its mask labels{side}/{mask.name} is missing. Unpack labels{side} as well."]
        else:
            labels = MaskFile(mask, has_pose=True) if mask.is_file() else None
            cases.append(Case(identifier, number or name, ImageFile(file), labels, is_test=side == "Ts"))
    known = {file.name.removesuffix("_0000.nii.gz") for file in images}
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
        rows = _rows(file)
        header = next((row for row in rows if any(_is_cmt(cell) for cell in row)), None)
        if header is None:
            continue
        cmt = next(i for i, cell in enumerate(header) if _is_cmt(cell))
        for row in rows[rows.index(header) + 1 :]:
            # the id's column has had several names, but no other cell of a row is a seven-digit number
            numbers = [cell for i, cell in enumerate(row) if i != cmt and re.fullmatch(r"9\d{6}", cell)]
            if len(row) > cmt and _number(row[cmt]) and len(set(numbers)) == 1:
                found[_number(row[cmt])] = numbers[0]
    return found


def _is_cmt(cell: str) -> bool:
    return re.sub(r"[^a-z]", "", cell.lower()) == "cmtid"


def _rows(file: Path) -> list[list[str]]:
    if file.suffix == ".csv":
        with file.open(newline="", encoding="utf-8-sig") as f:
            return [[cell.strip() for cell in row] for row in csv.reader(f)]
    try:
        import openpyxl
    except ImportError as error:
        raise ValueError(
            f'{file.name} needs openpyxl to be read. pip install "nnunet-eas[knee-data]", or replace the file by a CSV.'
        ) from error
    sheets = openpyxl.load_workbook(file, read_only=True, data_only=True)
    rows = [row for sheet in sheets for row in sheet.iter_rows(values_only=True)]
    sheets.close()
    return [["" if cell is None else str(cell).strip().removesuffix(".0") for cell in row] for row in rows]

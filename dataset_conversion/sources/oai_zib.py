"""The ZIB archive of 507 knees with their OAI scans.

Masks: `segmentation/segmentation_masks/<ID>.segmentation_masks.mhd`, or `OAI-ZIB/segmentation_masks` in the older
layout. Scans: DICOM folders that `oai_mri_paths.txt` names relative to the MRI root, or one NIfTI or MetaImage file a
case anywhere below the root, with the id in its name. Masks and scans are paired by id, never by order. The masks carry
no pose (the archive says so); their axes follow those of the scan in LPS.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dataset_conversion.case import Case, ImageSource, Source
from dataset_conversion.dicom.series import DicomSeries
from dataset_conversion.image_files import ENDINGS, ImageFile, MaskFile
from dataset_conversion.label_schemes import ZIB

LICENCE = "Masks: free for scientific use (ZIB). Scans: the OAI's data use agreement."
REFERENCE = (
    "Ambellan F., Tack A., Ehlke M., Zachow S. (2019), Automated segmentation of knee bone and cartilage combining "
    "statistical shape knowledge and convolutional neural networks, Medical Image Analysis 52. https://pubdata.zib.de"
)
SIDE = "right"

_MASK_NAME = re.compile(r"(\d+)\.segmentation_masks\.mhd$")


def find(archive: Path, mri: Path | None, *, allow_gaps: bool = False) -> Source:
    """All cases of the archive; arguments as in `convert_dataset`."""
    folder = _archive_folder(archive)
    if mri is None or not mri.is_dir():
        raise FileNotFoundError(f"--mri must be a folder, got {mri}. Give the folder that holds 0.C.2 and 0.E.1.")
    masks = {m[1]: f for f in sorted((folder / "segmentation_masks").iterdir()) if (m := _MASK_NAME.match(f.name))}
    lines = list(_mri_lines(folder / "doc" / "oai_mri_paths.txt"))
    uses, folders = Counter(number for number, _ in lines), dict(lines)
    volumes = _volumes(mri, archive)

    cases, faults = [], {}
    for number in sorted({*masks, *folders}):
        found, own = [], volumes.get(number, [])
        image: ImageSource | None = None
        if number not in masks:
            found.append("its mask is missing in segmentation_masks. Get it anew, or take the line out of the list.")
        if uses[number] > 1:
            found.append("its id stands twice in oai_mri_paths.txt. Leave the line that is right.")
        if number in folders and (mri / folders[number]).is_dir():
            image = DicomSeries((mri / folders[number],), allow_gaps=allow_gaps)
        elif len(own) == 1:
            image = ImageFile(own[0])
        elif own:
            names = ", ".join(file.relative_to(mri).as_posix() for file in own)
            found.append(f"{len(own)} volumes bear its id below --mri ({names}). Leave one.")
        elif not found:
            found.append(
                "its MRI is missing: neither the folder that oai_mri_paths.txt names, nor a volume with its id, lies "
                "below --mri. Download it, or correct --mri."
            )
        if found or image is None:
            faults[f"oaizib_{number}"] = found
        else:
            mask = MaskFile(masks[number], has_pose=False)
            cases.append(Case(f"oaizib_{number}", number, image, mask, promised_side=SIDE))
    if not cases and not faults:
        raise FileNotFoundError(
            f"source (--archive) must hold masks, got none in {folder / 'segmentation_masks'}. Unpack it."
        )
    if not cases and folders and not volumes and not any((mri / f).is_dir() for f in folders.values()):
        first = next(iter(folders.values()))
        raise FileNotFoundError(
            f"--mri must be what the lines of oai_mri_paths.txt are relative to, got {mri}, where neither {first} nor "
            "any other of them lies. Give the folder that holds 0.C.2 and 0.E.1."
        )
    return Source("oai-zib", tuple(cases), faults, ZIB, LICENCE, REFERENCE, lists=_lists(folder / "doc"))


def _archive_folder(archive: Path) -> Path:
    for folder in (archive / "segmentation", archive / "OAI-ZIB", archive):
        # classification/ holds files of the same names in which 2 is the tibia
        if (folder / "segmentation_masks").is_dir() and folder.resolve().name != "classification":
            return folder
    raise FileNotFoundError(
        f"source (--archive) must hold segmentation/segmentation_masks or OAI-ZIB/segmentation_masks, got {archive}. "
        "Unpack the archive there; its classification folder holds other labels and won't do."
    )


def _mri_lines(file: Path) -> Iterator[tuple[str, str]]:
    """Id and folder from each line `9001104: 0.E.1/9001104/20050825/10498212`."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else ():
        number, colon, folder = line.partition(":")
        if colon and number.strip():
            yield number.strip(), folder.strip().replace("\\", "/").strip("/")


def _volumes(mri: Path, archive: Path) -> dict[str, list[Path]]:
    """Image files below a folder, without masks, by each seven-digit id in their names."""
    found: dict[str, list[Path]] = {}
    for ending in ENDINGS:
        for file in sorted(mri.rglob(f"*{ending}")):
            is_mask = "segmentation_masks" in file.as_posix() or file.parent.name.startswith("labels")
            if is_mask or archive.resolve() in file.resolve().parents:
                continue
            for number in set(re.findall(r"(?<!\d)\d{7}(?!\d)", file.name)):
                found.setdefault(number, []).append(file)
    return found


def _lists(doc: Path) -> tuple[tuple[str, ...], ...]:
    files = [doc / f"2foldCrossValidation-List{n}.txt" for n in (1, 2)]
    if not all(file.is_file() for file in files):
        return ()
    return tuple(tuple(re.findall(r"(?<!\d)\d{7}(?!\d)", file.read_text(encoding="utf-8"))) for file in files)

"""Defects that a scan can have in every format."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid

from phantom_defects.defect import Defect
from phantom_defects.files import CaseFiles, edit, set_pixels


def _inverted_contrast(files: CaseFiles) -> None:
    if not files.mri.is_dir():
        image = sitk.ReadImage(str(files.mri))
        sitk.WriteImage(sitk.InvertIntensity(image, maximum=float(files.case.knee.image.max())), str(files.mri))
        return
    brightest = max(int(pydicom.dcmread(path).pixel_array.max()) for path in files.slices)
    darkest = min(int(pydicom.dcmread(path).pixel_array.min()) for path in files.slices)
    for path in files.slices:
        edit(path, lambda item: set_pixels(item, brightest + darkest - item.pixel_array.astype(int)))


def _foreign_files(files: CaseFiles) -> None:
    folder = files.mri if files.mri.is_dir() else files.mri.parent
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + bytes(64))
    (folder / "Thumbs.db").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(64))
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[files.case.series.as_posix(), "dir"])
    directory.FileSetID = "PHANTOM"
    directory.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    directory.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    directory.FileSetConsistencyFlag = 0
    directory.DirectoryRecordSequence = []
    # A DICOM file as good as any, but for the pixels.
    directory.save_as(folder / "DICOMDIR", enforce_file_format=True)


def _missing_mri(files: CaseFiles) -> None:
    if files.mri.is_dir():
        shutil.rmtree(files.mri)
    else:
        files.mri.unlink()


SCAN_DEFECTS: dict[Defect, Callable[[CaseFiles], None]] = {
    Defect.INVERTED_CONTRAST: _inverted_contrast,
    Defect.FOREIGN_FILES: _foreign_files,
    Defect.MISSING_MRI: _missing_mri,
}

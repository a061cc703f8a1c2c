"""Synthetic knees, written as the real archives hold them: OAI-ZIB's masks and OAI's DICOM. No patient data."""

from nnunet_eas.phantom_archive.archive import Archive, write_archive
from nnunet_eas.phantom_archive.case import ArchiveCase

__all__ = ["Archive", "ArchiveCase", "write_archive"]

"""Phantom knees, written as the real archives hold them: OAI-ZIB's masks, OAI's DICOM, and every defect on demand.

Neither archive can ship with the project; converters are tested on these.
"""

from nnunet_eas.phantom_archive.archive import Archive, write_archive
from nnunet_eas.phantom_archive.case import ArchiveCase
from nnunet_eas.phantom_archive.defect import Defect

__all__ = ["Archive", "ArchiveCase", "Defect", "write_archive"]

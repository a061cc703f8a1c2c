"""Archives of synthetic knees in all forms that real ones have, with every defect on demand, to test converters."""

from phantom_defects.archive import write_archive
from phantom_defects.defect import Defect

__all__ = ["Defect", "write_archive"]

"""Extension of griffe: reads a docstring's section "Example:" as code, which griffe does with "Examples:" only."""

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Renames the sections before griffe parses them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Renames the section of one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)

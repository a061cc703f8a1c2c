"""The numbers on the page, with their heads and units."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One number."""

    key: str  # its name in `metrics.DEFINED_BY`
    head: str  # text above the column, with the unit
    factor: float  # factor from the number to the unit
    digits: int  # digits after the point
    floor: float = 0.0  # least possible value, in the unit
    ceiling: float = math.inf  # greatest possible value, in the unit

    def text(self, value: float | None) -> str:
        """A number in the unit, rounded; a dash where it is undefined."""
        if value is None:
            return "\u2013"
        rounded = round(value * self.factor, self.digits) + 0.0  # no -0
        return f"{rounded:.{self.digits}f}".replace("-", "\u2212")


COLUMNS = (
    Column("dice", "Dice %", 100, 2, ceiling=100.0),
    Column("hd95_mm", "HD95 mm", 1, 2),
    Column("assd_mm", "ASSD mm", 1, 3),
    Column("nsd", "NSD %", 100, 2, ceiling=100.0),
    Column("precision", "Precision %", 100, 2, ceiling=100.0),
    Column("recall", "Recall %", 100, 2, ceiling=100.0),
    Column("volume_difference_mm3", "Volume difference mm³", 1, 0, floor=-math.inf),
)
DRAWN = COLUMNS[:4]
"""The numbers whose distribution is drawn."""

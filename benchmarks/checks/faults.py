"""Faults in full counts, of which the tests make a small draw: pickles, damaged inputs, full disks, kills, many scans.

    python -m benchmarks.checks.faults --work DIR [--out benchmarks/results/faults.json] [PART ...]

PART is any of pickles, inputs, disks, kills, scans (default: all). A tiny dataset and model are made first, below
--work, by the real commands. What happened is kept there: a second call does what is missing, and writes the counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import environment
from benchmarks.checks import damaged_inputs, foreign_pickles, full_disks, kills, many_scans
from benchmarks.checks.fault_bench import FaultBench, read_rows
from nnunet_eas.support.files import write_json

OUT = Path(__file__).resolve().parents[1] / "results" / "faults.json"
PARTS = ("pickles", "inputs", "disks", "kills", "scans")


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help="what to do (default: all)")
    add("--work", type=Path, required=True, help="folder for the dataset, the model and the outcomes")
    add("--out", type=Path, default=OUT, help="the JSON with the counts (default: %(default)s)")
    add("--inputs", type=int, default=1000, metavar="N", help="damaged files (default: %(default)s)")
    add("--kills", type=int, default=200, metavar="N", help="at random moments (default: %(default)s)")
    add("--writes", type=int, default=50, metavar="N", help="kills inside a checkpoint's write (default: %(default)s)")
    add("--scans", type=int, default=500, metavar="N", help="scans of one prediction (default: %(default)s)")
    args = parser.parse_intermixed_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"PART must be one of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    parts = args.parts or PARTS
    bench = FaultBench(args.work.resolve())
    bench.prepare()

    def keep(part: str, counts: dict) -> None:
        here = environment.describe()
        write_json(args.out, {**read_rows(args.out), part: {**counts, "environment": here}})

    if "pickles" in parts:
        keep("pickles", foreign_pickles.summary(foreign_pickles.run(bench, bench.work / "pickles.json")))
    if "inputs" in parts:
        rows = damaged_inputs.run(bench, args.inputs, bench.work / "damaged_inputs.json")
        keep("inputs", damaged_inputs.summary(rows))
    if "disks" in parts:
        keep("disks", full_disks.summary(full_disks.run(bench, bench.work / "disks.json")))
    if "kills" in parts:
        rows = kills.run(bench, args.kills, args.writes, bench.work / "kills.json")
        keep("kills", kills.summary(rows))
    if "scans" in parts:
        keep("scans", many_scans.run(bench, args.scans))


if __name__ == "__main__":
    main()

"""Faults in full counts: damaged inputs under every command.

    python -m benchmarks.checks.faults --work DIR [--out benchmarks/results/faults.json] [--inputs 1000]

Makes a tiny dataset and model below --work first. Every call's outcome is kept there: a second call does what is
missing, and writes the counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import environment
from benchmarks.checks import damaged_inputs
from benchmarks.checks.fault_bench import FaultBench, read_rows
from nnunet_eas.support.files import write_json

OUT = Path(__file__).resolve().parents[1] / "results" / "faults.json"


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the dataset, the model and the outcomes")
    parser.add_argument("--out", type=Path, default=OUT, help="the JSON with the counts (default: %(default)s)")
    parser.add_argument("--inputs", type=int, default=1000, metavar="N", help="damaged files (default: %(default)s)")
    args = parser.parse_args()
    bench = FaultBench(args.work.resolve())
    bench.prepare()
    rows = damaged_inputs.run(bench, args.inputs, bench.work / "damaged_inputs.json")
    content = {**read_rows(args.out), "damaged_inputs": damaged_inputs.summary(rows)}
    write_json(args.out, {**content, "environment": environment.describe()})


if __name__ == "__main__":
    main()

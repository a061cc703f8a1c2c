"""Plans random datasets and checks that every plan trains and fits its memory target, or that a line says why not.

    python -m benchmarks.checks.random_datasets --datasets 200

The check is a test of the planner, which draws 20 datasets where it runs with all other tests.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

TEST = "tests/plans/test_planner.py::test_every_dataset_gets_networks_that_train_or_a_line_why_not"


def main() -> int:
    """Runs the test; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=int, default=200, metavar="N", help="how many (default: %(default)s)")
    args = parser.parse_args()
    os.environ["RANDOM_DATASETS"] = str(args.datasets)
    os.chdir(Path(__file__).resolve().parents[2])
    return int(pytest.main([TEST, "-m", "", "-p", "no:cacheprovider"]))


if __name__ == "__main__":
    sys.exit(main())

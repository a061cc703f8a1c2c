r"""Shows the fingerprint of every network's sources, and records new ones in `results/provenance.json`.

    python -m benchmarks.compare.record_sources                 # known, or new: would be trained again
    python -m benchmarks.compare.record_sources --add same      # after a change that computes the same

Run it after the sources are committed. The exit status is 1 where a fingerprint is not in the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from typing import Any

from benchmarks.commands import ROOT
from benchmarks.compare import provenance
from benchmarks.compare.networks import NETWORKS
from nnunet_eas.support.files import write_text


def main() -> int:
    """Compares the sources with the table, and completes the table on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--add",
        choices=("same", "different"),
        help="record new fingerprints: their networks compute the same as before (old results stay valid), or not",
    )
    parser.add_argument("--commit", help="the commit of these sources (default: HEAD)")
    args = parser.parse_args()
    table = provenance.read()
    known = {row["fingerprint"] for row in table["sources"]}
    new = []
    for sources, networks in current().items():
        if sources in known:
            print(f"{sources} known, counts as {provenance.original(sources)}: {', '.join(networks)}")
        else:
            new.append(row_of(sources, networks, table["sources"], args.add == "same"))
            print(f"{sources} new: {', '.join(networks)}")
    if not new or args.add is None:
        return 1 if new else 0
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = args.commit or subprocess.run(head, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    table["sources"] += [{**row, "commit": commit} for row in new]
    write(table)
    return 0


def current() -> dict[str, list[str]]:
    """The fingerprints of the sources as they are, with the networks that have them."""
    found: dict[str, list[str]] = {}
    for name, network in NETWORKS.items():
        found.setdefault(network.fingerprint(), []).append(name)
    return found


def row_of(sources: str, networks: list[str], rows: list[dict[str, Any]], computes_the_same: bool) -> dict[str, Any]:
    """A row of the table; it counts as the last recorded one of the same networks where it computes the same."""
    row: dict[str, Any] = {"fingerprint": sources, "networks": networks}
    before = [other for other in rows if set(other["networks"]) & set(networks)]
    if computes_the_same and before:
        row["counts_as"] = before[-1].get("counts_as", before[-1]["fingerprint"])
    return row


def write(table: dict[str, list[dict[str, Any]]]) -> None:
    """Writes the table, one line a row."""
    lists = [
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]" for name, rows in table.items()
    ]
    write_text(provenance.TABLE, "{\n" + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    raise SystemExit(main())

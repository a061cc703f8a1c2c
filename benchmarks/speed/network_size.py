"""Parameters and forward FLOPs of EAS U-Net and of default nnU-Net, from the same plans.

    python -m benchmarks.speed.network_size --out RESULT.json

The plans are those of nnU-Net's default planner for OAI-ZIB's geometry (8 GB) and for small slices. Nothing is trained:
the shapes are enough (meta device, one image, one channel in, three classes out).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import environment
from benchmarks.speed.knee_plan import architectures, build
from nnunet_eas.support.files import write_json

PLANS = {  # title: (configuration, patch, stages)
    "2d, knee": ("2d", [384, 384], 7),
    "2d, knee, the paper's five stages": ("2d", [384, 384], 5),
    "3d_fullres, knee": ("3d_fullres", [80, 192, 160], 6),
    "2d, hippocampus": ("2d", [56, 40], 4),
    "3d_fullres, hippocampus": ("3d_fullres", [40, 56, 40], 4),
}


def main() -> None:
    """Counts for every plan and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    args = parser.parse_args()
    rows = [{"plan": title, **compare(*plan)} for title, plan in PLANS.items()]
    for row in rows:
        print(f"{row['plan']}: parameters {row['parameters_ratio']:.3f}, FLOPs {row['flops_ratio']:.3f} of the default")
    write_json(args.out, {"plans": rows, "environment": environment.describe()})


def compare(configuration: str, patch: list[int], stages: int) -> dict[str, Any]:
    """Both networks on one plan."""
    planned = architectures(configuration, patch, stages)
    dilations = planned["eas"]["arch_kwargs"]["dilations"]
    row: dict[str, Any] = {"patch_size": patch, "n_stages": stages, "dilations": dilations}
    for name, architecture in planned.items():
        with torch.device("meta"):
            network, image = build(architecture), torch.empty(1, 1, *patch)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(image)
        row[f"{name}_parameters"] = sum(p.numel() for p in network.parameters())
        row[f"{name}_flops"] = counter.get_total_flops()
    for count in ("parameters", "flops"):
        row[f"{count}_ratio"] = row[f"eas_{count}"] / row[f"default_{count}"]
    return row


if __name__ == "__main__":
    main()

"""Parameters and forward FLOPs of EASUNet and of the default network, from the same plans.

    python benchmarks/network_size.py --out RESULT.json

The plans are what nnU-Net's default planner makes of OAI-ZIB's geometry (8 GB) and of small slices. Nothing is trained:
shapes alone decide (meta device, one image, one channel in, three classes out).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import environment
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from host_commands import write_json
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nnunet_eas.network.eas_unet import EASUNet
from nnunet_eas.plans.translation import dilation_rates

# name: patch, strides
PLANS = {
    "2d, knee": ((384, 384), [[1, 1]] + [[2, 2]] * 6),
    "2d, knee, the paper's five stages": ((384, 384), [[1, 1]] + [[2, 2]] * 4),
    "3d_fullres, knee": ((80, 192, 160), [[1, 1, 1]] + [[2, 2, 2]] * 4 + [[1, 2, 2]]),
    "2d, hippocampus": ((56, 40), [[1, 1]] + [[2, 2]] * 3),
    "3d_fullres, hippocampus": ((40, 56, 40), [[1, 1, 1]] + [[2, 2, 2]] * 3),
}


def main() -> None:
    """Counts for every plan and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    args = parser.parse_args()
    rows = [{"plan": name, **compare(*plan)} for name, plan in PLANS.items()]
    for row in rows:
        print(f"{row['plan']}: parameters {row['parameters_ratio']:.3f}, FLOPs {row['flops_ratio']:.3f} of the default")
    write_json(args.out, {"plans": rows, "environment": environment.describe()})


def compare(patch: tuple[int, ...], strides: list[list[int]]) -> dict:
    """Both networks on one plan."""
    dim, n = len(patch), len(strides)
    most = 512 if dim == 2 else 320
    plan = {
        "input_channels": 1,
        "n_stages": n,
        "features_per_stage": [min(32 * 2**i, most) for i in range(n)],
        "conv_op": {2: nn.Conv2d, 3: nn.Conv3d}[dim],
        "kernel_sizes": 3,
        "strides": strides,
        "n_conv_per_stage": 2,
        "num_classes": 3,
        "n_conv_per_stage_decoder": 2,
        "conv_bias": True,
        "norm_op_kwargs": {"affine": True},
        "nonlin": nn.LeakyReLU,
    }
    edges = [p // int(torch.tensor([s[a] for s in strides]).prod()) for a, p in enumerate(patch)]
    instance, batch = (nn.InstanceNorm2d, nn.BatchNorm2d) if dim == 2 else (nn.InstanceNorm3d, nn.InstanceNorm3d)
    with torch.device("meta"):
        networks = {
            "default": PlainConvUNet(**{**plan, "kernel_sizes": [[3] * dim] * n}, norm_op=instance),
            "eas": EASUNet(**plan, norm_op=batch, dilations=dilation_rates(edges)),
        }
        image = torch.empty(1, 1, *patch)
    row: dict = {"patch_size": list(patch), "n_stages": n, "dilations": dilation_rates(edges)}
    for name, network in networks.items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(image)
        row[f"{name}_parameters"] = sum(p.numel() for p in network.parameters())
        row[f"{name}_flops"] = counter.get_total_flops()
    for what in ("parameters", "flops"):
        row[f"{what}_ratio"] = row[f"eas_{what}"] / row[f"default_{what}"]
    return row


if __name__ == "__main__":
    main()

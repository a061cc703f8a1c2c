"""The table of the speed page from the JSON of speed.py."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.markdown import table as rows_of


def speed_table(content: dict[str, Any], others: dict[str, dict[str, Any]]) -> str:
    """One row a measurement: default nnU-Net, EAS U-Net, their ratio, the paper's EAS U-Net, ratios of other runs.

    Args:
        content: The JSON of speed.py.
        others: Other JSONs of speed.py, for their ratios alone, with the head of each one's column.
    """
    networks, commands, ratios = content["networks"], content["commands"], content["ratios"]
    two, three = networks["default_2d"], networks["default_3d_fullres"]

    def shape(row: dict[str, Any], key: str) -> str:
        return " x ".join(map(str, row[key]))

    def seconds(network: str, key: str) -> str:
        return f"{statistics.median(networks[network][key]):.2f} s"

    def both(configuration: str, key: str) -> list[str]:
        return [seconds(f"{network}_{configuration}", key) for network in ("default", "eas")]

    rows = [
        (
            f"2d training step, {shape(two, 'patch_size')}, batch {two['batch_size']}",
            "train_step_2d",
            both("2d", "step_seconds"),
        ),
        (
            "its peak memory",
            "train_memory_2d",
            [f"{networks[network]['peak_bytes'] / 1e9:.2f} GB" for network in ("default_2d", "eas_2d")],
        ),
        (
            f"2d, nnU-Net's predictor, {shape(two, 'scan_shape')}",
            "predict_network_2d",
            both("2d", "scan_seconds"),
        ),
        (
            "2d, nnU-Net's predictor against that of `nnunet-eas predict`",
            "eas_predict_network_2d",
            [seconds("default_2d", "scan_seconds"), seconds("eas_2d", "our_predictor_scan_seconds")],
        ),
        (
            f"`nnUNetv2_predict` against `nnunet-eas predict`, {commands['slices']} slices",
            "eas_predict_command_2d",
            [f"{statistics.median(commands[name]):.0f} s" for name in ("default", "eas_ours")],
        ),
        (
            f"3d_fullres training step, {shape(three, 'patch_size')}, batch {three['batch_size']}",
            "train_step_3d",
            both("3d_fullres", "step_seconds"),
        ),
        (
            f"3d_fullres, nnU-Net's predictor, {shape(three, 'scan_shape')}",
            "predict_network_3d",
            both("3d_fullres", "scan_seconds"),
        ),
    ]
    found = content["environment"]
    of_others = "; ".join(
        f"{head}: {_engine(other)}, commands on {other['commands']['slices']} slices" for head, other in others.items()
    )
    head = (
        f"{found['gpu'] if content['device'] == 'cuda' else found['processor']}, {content['threads']} threads, PyTorch "
        f"{found['torch']}. `nnunet-eas predict` chose {_engine(content)}. The last columns are ratios of other runs "
        f"({of_others})."
    )
    changes = content["ratios_of_changes"]
    heads = ["", "default nnU-Net", "EAS U-Net", "ratio", "the paper's / ours", *others]
    cells = [
        [
            *(title, *values, f"{ratios[key]:.1f}", f"{changes[key]:.2f}" if key in changes else ""),
            *(f"{other['ratios'][key]:.1f}" for other in others.values()),
        ]
        for title, key, values in rows
    ]
    return "\n".join([head, "", *rows_of(heads, cells)]) + "\n"


def _engine(content: dict[str, Any]) -> str:
    """The engine that `nnunet-eas predict` chose."""
    return str(content["networks"]["eas_2d"]["our_engine"].split(" (")[0])

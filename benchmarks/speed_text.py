r"""The README's table of speed from what speed.py wrote.

python benchmarks/speed_text.py benchmarks/results/speed_cpu.json --beside benchmarks/results/speed_cpu_quick.json \
    --readme README.md
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from readme_block import put_between_marks


def main() -> None:
    """Reads the JSON and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path, help="of speed.py")
    parser.add_argument("--beside", type=Path, required=True, help="of speed.py --quick, for its ratios alone")
    parser.add_argument("--readme", type=Path, required=True, help="a Markdown file with the marks")
    args = parser.parse_args()
    content, beside = (json.loads(path.read_text(encoding="utf-8")) for path in (args.json, args.beside))
    put_between_marks(args.readme, "speed", markdown(content, beside))


def markdown(content: dict[str, Any], beside: dict[str, Any]) -> str:
    """One row a measurement: default nnU-Net, EAS U-Net, the median quotient of the pairs, and that of another run."""
    rows, commands, ratios = content["networks"], content["commands"], content["ratios"]
    two, three = rows["default_2d"], rows["default_3d_fullres"]
    scan, slices = " x ".join(map(str, two["scan_shape"])), commands["slices"]
    edges = {name: " x ".join(map(str, row["patch_size"])) for name, row in (("2d", two), ("3d", three))}
    volume = " x ".join(map(str, three["scan_shape"]))

    def seconds(network: str, key: str) -> str:
        return f"{statistics.median(rows[network][key]):.2f} s"

    def gigabytes(network: str) -> str:
        return f"{rows[network]['peak_bytes'] / 1e9:.2f} GB"

    def command(name: str) -> str:
        return f"{statistics.median(commands[name]):.0f} s"

    batch, batch_3d = two["batch_size"], three["batch_size"]
    table = [
        (f"2d training step, {edges['2d']}, batch {batch}", "train_step_2d", *_both(seconds, "2d", "step_seconds")),
        ("its peak memory", "train_memory_2d", gigabytes("default_2d"), gigabytes("eas_2d")),
        (f"2d, nnU-Net's predictor, {scan}", "predict_network_2d", *_both(seconds, "2d", "scan_seconds")),
        (
            "2d, the predictor of `nnunet-eas predict` against it",
            "eas_predict_network_2d",
            seconds("default_2d", "scan_seconds"),
            seconds("eas_2d", "our_predictor_scan_seconds"),
        ),
        (
            f"`nnunet-eas predict` against `nnUNetv2_predict`, {slices} slices",
            "eas_predict_command_2d",
            command("default"),
            command("eas_ours"),
        ),
        (
            f"3d_fullres training step, {edges['3d']}, batch {batch_3d}",
            "train_step_3d",
            *_both(seconds, "3d_fullres", "step_seconds"),
        ),
        (
            f"3d_fullres, nnU-Net's predictor, {volume}",
            "predict_network_3d",
            *_both(seconds, "3d_fullres", "scan_seconds"),
        ),
    ]
    found = content["environment"]
    lines = [
        f"{found['gpu'] if content['device'] == 'cuda' else found['processor']}, {content['threads']} threads, PyTorch "
        f"{found['torch']}. `nnunet-eas predict` chose {rows['eas_2d']['our_engine'].split(' (')[0]}. The last "
        f"column is another run's, in which the commands predicted {beside['commands']['slices']} slices: a ratio "
        "moves with what else the machine's memory serves.",
        "",
        "| | default nnU-Net | EAS U-Net | ratio | ratio, `--quick` |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {what} | {default} | {eas} | {ratios[key]:.1f} | {beside['ratios'][key]:.1f} |"
            for what, key, default, eas in table
        ),
    ]
    return "\n".join(lines) + "\n"


def _both(value: Any, configuration: str, key: str) -> tuple[str, str]:
    return value(f"default_{configuration}", key), value(f"eas_{configuration}", key)


if __name__ == "__main__":
    main()

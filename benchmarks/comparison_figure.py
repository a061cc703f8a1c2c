"""A comparison as a picture: accuracy against two costs, a mark and a name for each network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from differences import ALL

# colours that colour-blind people tell apart (Okabe, Ito), and shapes for print
COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
MARKS = "oD^svP*Xhp"


def draw(table: dict[str, Any], path: Path) -> None:
    """Mean Dice, with the interval of its difference to the reference, over GFLOPs and seconds of a training step."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

    arms = [arm for arm in table["networks"].values() if arm["structures"][ALL]["dice"]["mean"] is not None]
    with_cost = [arm for arm in arms if "cost" in arm]
    axes_of = [
        ("GFLOPs of a patch", lambda arm: arm["cost"]["flops"] / 1e9),
        ("training step, s", lambda arm: arm["cost"]["step_seconds"]["median"]),
    ]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for axis, (label, cost) in zip(axes, axes_of, strict=True):
        for number, arm in enumerate(with_cost):
            y = 100 * arm["structures"][ALL]["dice"]["mean"]
            difference = arm.get("difference", {}).get(ALL)
            bars = [[0.0], [0.0]]
            if difference and difference["mean"] is not None:
                bars = [
                    [100 * (difference["mean"] - difference["low"])],
                    [100 * (difference["high"] - difference["mean"])],
                ]
            style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKS[number % len(MARKS)]}
            axis.errorbar([cost(arm)], [y], yerr=bars, capsize=3, linestyle="none", label=arm["title"], **style)
        axis.set_xlabel(label)
        if with_cost:
            axis.set_xscale("log")
            costs = [cost(arm) for arm in with_cost]
            if max(costs) < 4 * min(costs):  # too few of 1, 2 and 5
                axis.xaxis.set_major_locator(MaxNLocator(4))
                axis.xaxis.set_minor_locator(NullLocator())
            else:
                axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(ScalarFormatter())
            axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean DSC, %\n(bar: interval of the difference)")
    if with_cost:
        axes[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    else:
        axes[0].text(0.5, 0.5, "no costs given", ha="center", transform=axes[0].transAxes)
    figure.suptitle(f"{table['dataset']}, {table['configuration']}")
    part = path.with_name(f"{path.name}.part")
    figure.savefig(part, dpi=110, format="png", metadata={"Software": None})
    os.replace(part, path)
    plt.close(figure)

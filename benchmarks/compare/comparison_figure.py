"""The figure of a comparison: accuracy against two costs, with a mark and a name for each network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.compare.differences import ALL
from nnunet_eas.support.files import replacing

# colours that colour-blind people can tell apart (Okabe, Ito), and shapes for print
COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
MARKS = "oD^svP*Xhp"


def draw(table: dict[str, Any], path: Path) -> None:
    """Draws mean Dice, with the interval of its difference to the reference, over GFLOPs and seconds of a step."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

    networks = [n for n in table["networks"].values() if n["structures"][ALL]["dice"]["mean"] is not None]
    axes_of = [
        ("GFLOPs of a patch", lambda cost: cost["flops"] / 1e9),
        ("training step, s", lambda cost: cost["step_seconds"]["median"]),
    ]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for axis, (label, cost_of) in zip(axes, axes_of, strict=True):
        costs = [cost_of(network["cost"]) for network in networks]
        for number, (network, cost) in enumerate(zip(networks, costs)):
            y = 100 * network["structures"][ALL]["dice"]["mean"]
            difference = network.get("difference", {}).get(ALL)
            bars = [[0.0], [0.0]]
            if difference and difference["mean"] is not None:
                bars = [
                    [100 * (difference["mean"] - difference["low"])],
                    [100 * (difference["high"] - difference["mean"])],
                ]
            style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKS[number % len(MARKS)]}
            axis.errorbar([cost], [y], yerr=bars, capsize=3, linestyle="none", label=network["title"], **style)
        axis.set_xlabel(label)
        if networks:
            axis.set_xscale("log")
            if max(costs) < 4 * min(costs):  # a logarithmic locator would set too few ticks
                axis.xaxis.set_major_locator(MaxNLocator(4))
                axis.xaxis.set_minor_locator(NullLocator())
            else:
                axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(ScalarFormatter())
            axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean DSC, %\n(bar: interval of the difference)")
    if networks:
        axes[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    figure.suptitle(f"{table['dataset']}, {table['configuration']}")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    plt.close(figure)

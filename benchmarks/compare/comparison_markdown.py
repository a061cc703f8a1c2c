"""A comparison as Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.compare.differences import ALL
from benchmarks.markdown import table as rows_of

METRICS = (
    ("dice", "DSC %", 100),
    ("precision", "prec. %", 100),
    ("recall", "recall %", 100),
    ("hd_mm", "HD mm", 1),
    ("hd95_mm", "HD95 mm", 1),
)
COSTS = ("parameters", "GFLOPs a patch", "training step s", "prediction s a scan", "peak memory MB")

LEGEND = (
    "Mean ± standard deviation over cases, each case the mean of its seeds. The difference is paired by case, over the "
    "seeds that both networks have, with its 95 % bootstrap interval; p is Wilcoxon's, corrected for the number of "
    "networks (Holm). Interval and p describe other cases under the same trainings; the lines below each table say how "
    "far the same network moves with another seed. In brackets after the cases: trained folds of each seed. In "
    "brackets after another number: its number of cases, where it is undefined in the others."
)


def markdown(tables: list[dict[str, Any]], figures: list[str | None]) -> str:
    """All tables with all metrics, each with its figure, where it has one."""
    return "\n".join(_full(table, figure) for table, figure in zip(tables, figures, strict=True))


def summary(tables: list[dict[str, Any]]) -> str:
    """All tables with one row a network, for a page that explains the columns itself."""
    parts = []
    for table in tables:
        heads = ["network", *_difference_heads(table), "parameters", "GFLOPs", "step s", "scan s"]
        rows = [
            [*_difference(network, table), *(_cost(network["cost"])[:4] if "cost" in network else [""] * 4)]
            for network in table["networks"].values()
        ]
        parts += [f"**{table['dataset']}, {table['configuration']}.** {length(table)}", ""]
        parts += [*rows_of(heads, rows), "", *_footnotes(table)]
    return "\n".join(parts)


def _full(table: dict[str, Any], figure: str | None) -> str:
    networks = list(table["networks"].values())
    structures = [s for s in networks[0]["structures"] if s != ALL] if networks else []
    lines = [f"### {table['dataset']}, {table['configuration']}", "", f"{length(table)} {LEGEND}", ""]
    for structure in structures:
        rows = [
            [n["title"], *(_spread(n["structures"][structure][key], n["cases"], factor) for key, _, factor in METRICS)]
            for n in networks
        ]
        lines += [*rows_of([structure, *(head for _, head, _ in METRICS)], rows), ""]
    heads = ["mean over structures", *_difference_heads(table, "DSC %")]
    lines += [*rows_of(heads, [_difference(network, table) for network in networks]), "", *_footnotes(table)]
    costs = [[network["title"], *_cost(network["cost"])] for network in networks if "cost" in network]
    if costs:
        lines += [*rows_of(["cost", *COSTS], costs), ""]
    if figure is not None:
        lines += [f"![accuracy against cost]({figure})", ""]
    return "\n".join(lines)


def length(table: dict[str, Any]) -> str:
    """The schedule, the batch and patch, and the device of a table's trainings."""
    schedule, networks = table["schedule"], list(table["networks"].values())
    sizes = sorted({_sizes(network["plan"]) for network in networks})
    planned = sorted({_sizes(network["planned"]) for network in networks})
    steps = "; ".join(sizes) + (f" (planned: {'; '.join(planned)})" if planned != sizes else "")
    if schedule.get("seconds"):
        trained = f"Equal time: {schedule['seconds']:g} s of training each in {schedule['epochs']} epochs"
    else:
        iterations = schedule["epochs"] * schedule["iterations"]
        trained = f"Equal iterations: {iterations} each ({schedule['epochs']} epochs of {schedule['iterations']})"
    if not schedule.get("mirroring", True):
        trained += "; predicted without mirrored copies"
    devices = "; ".join(sorted({device for network in networks for device in network["devices"]}))
    return f"{trained}; {steps}. {devices}."


def _sizes(plan: dict[str, Any]) -> str:
    return f"batch {plan['batch_size']}, patch {' x '.join(map(str, plan['patch_size']))}"


def _footnotes(table: dict[str, Any]) -> list[str]:
    networks = table["networks"]
    ranked = [
        f"{networks[step['better']]['title']} against {networks[step['worse']]['title']} {_interval(step)}, "
        f"p {_p(step['p_holm'])}"
        for step in table.get("ranking", [])
        if step["mean"] is not None
    ]
    apart = [f"{n['title']} {_interval(n['between_seeds'])}" for n in networks.values() if n["between_seeds"]]
    resumed = [
        f"{network['title']}, fold {fold} of seed {seed}"
        for network in networks.values()
        for seed, folds in network["resumed"].items()
        for fold in folds
    ]
    costs = sorted({network["cost_device"] for network in networks.values() if "cost" in network})
    notes = [
        ("Ranking, each against the next", ranked),
        ("The same network, its last seed against its first", apart),
        ("Interrupted and resumed, with other samples from there on", resumed),
        ("Step and scan were measured on", costs),
    ]
    return [line for head, found in notes if found for line in (f"{head}: {'; '.join(found)}.", "")]


def _p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _interval(difference: dict[str, Any]) -> str:
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def _difference_heads(table: dict[str, Any], dice: str = "mean DSC %") -> list[str]:
    title = table["networks"].get(table["reference"], {"title": table["reference"]})["title"]
    return ["cases", dice, "each seed's", f"difference to {title}", "p", "better in"]


def _difference(network: dict[str, Any], table: dict[str, Any]) -> list[str]:
    numbers = [len(folds) for folds in network["folds"].values()]
    trainings = " + ".join(map(str, numbers)) + (" fold" if numbers == [1] else " folds")
    cells = [
        network["title"],
        f"{network['cases']} ({trainings})",
        _spread(network["structures"][ALL]["dice"], network["cases"], 100),
        ", ".join(f"{100 * dice:.2f}" for dice in network["mean_dice_of_seeds"].values()),
    ]
    found = network.get("difference", {}).get(ALL)
    if found is None or found["mean"] is None:
        return [*cells, "", "", ""]
    seeds = {int(seed) for each in (network, table["networks"][table["reference"]]) for seed in each["folds"]}
    shared = network["difference_of_seeds"]
    of_seeds = "" if seeds == set(shared) else f" (seed {', '.join(map(str, shared))})"
    return [
        *cells,
        f"{_interval(found)}{of_seeds}",
        _p(found["p_holm"]),
        f"{found['folds_better']} of {found['folds']} folds",
    ]


def _cost(cost: dict[str, Any]) -> list[str]:
    return [
        f"{cost['parameters'] / 1e6:.2f} M",
        f"{cost['flops'] / 1e9:.2f}",
        f"{cost['step_seconds']['median']:.3f}",
        f"{cost['scan_seconds']['median']:.2f}",
        f"{cost['peak_bytes'] / 1e6:.0f}",
    ]


def _spread(number: dict[str, Any], cases: int, factor: float) -> str:
    if number["mean"] is None:
        return "undefined"
    sd = "" if number["sd"] is None else f" ± {factor * number['sd']:.2f}"
    of = f" ({number['n']})" if number["n"] < cases else ""
    return f"{factor * number['mean']:.2f}{sd}{of}"

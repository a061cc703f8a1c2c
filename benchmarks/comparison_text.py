"""A comparison as Markdown."""

from __future__ import annotations

from typing import Any

from differences import ALL

SCORES = (("dice", "DSC %", 100, 2), ("precision", "prec. %", 100, 2), ("recall", "recall %", 100, 2))
LENGTHS = (("hd_mm", "HD mm", 1, 2), ("hd95_mm", "HD95 mm", 1, 2))

LEGEND = (
    "Mean ± standard deviation over cases, each case the mean of its seeds. The difference is paired by case, over the "
    "seeds that both have, with its 95 % bootstrap interval; p is Wilcoxon's, corrected for the number of rivals "
    "(Holm). Interval and p are those of other cases under these very trainings: how far the same network moves with "
    "another seed stands below each table. In brackets behind the cases: trained folds, seed by seed; behind another "
    "number: of so many cases only, undefined in the others."
)


def markdown(tables: list[dict[str, Any]], figures: list[str]) -> str:
    """All tables, each with its figure."""
    parts = [_table(table, figure) for table, figure in zip(tables, figures, strict=True)]
    return "\n".join(parts)


def summary(tables: list[dict[str, Any]]) -> str:
    """One row a network: what a README has room for; it has the legend in its own text."""
    parts = []
    for table in tables:
        title = table["networks"].get(table["reference"], {"title": table["reference"]})["title"]
        heads = [
            "cases",
            "mean DSC %",
            "each seed's",
            f"difference to {title}",
            "p",
            "better in",
            "parameters",
            "GFLOPs",
            "step s",
            "scan s",
        ]
        parts += [f"**{table['dataset']}, {table['configuration']}.** {_length(table)}", ""]
        parts += _rows(["network", *heads])
        for arm in table["networks"].values():
            cost = _cost(arm["cost"])[:4] if "cost" in arm else [""] * 4
            parts.append(_row([*_difference(arm, table), *cost]))
        parts += ["", *_footnotes(table)]
    return "\n".join(parts)


def _table(table: dict[str, Any], figure: str) -> str:
    structures = [s for s in next(iter(table["networks"].values()), {"structures": []})["structures"] if s != ALL]
    lines = [f"### {table['dataset']}, {table['configuration']}", "", f"{_length(table)} {LEGEND}", ""]
    for structure in structures:
        heads = [head for _, head, _, _ in SCORES + LENGTHS]
        lines += _rows([structure, *heads])
        for arm in table["networks"].values():
            of = arm["structures"][structure]
            lines += [
                _row([arm["title"], *(_spread(of[key], arm["cases"], *how) for key, _, *how in SCORES + LENGTHS)])
            ]
        lines.append("")
    title = table["networks"].get(table["reference"], {"title": table["reference"]})["title"]
    lines += _rows(
        ["mean over structures", "cases", "DSC %", "each seed's", f"difference to {title}", "p", "better in"]
    )
    lines += [_row(_difference(arm, table)) for arm in table["networks"].values()]
    lines += ["", *_footnotes(table)]
    if any("cost" in arm for arm in table["networks"].values()):
        heads = ["parameters", "GFLOPs a patch", "training step s", "prediction s a scan", "peak memory MB"]
        lines += _rows(["cost", *heads])
        lines += [_row([arm["title"], *_cost(arm["cost"])]) for arm in table["networks"].values() if "cost" in arm]
        lines.append("")
    lines += [f"![accuracy against cost]({figure})", ""]
    return "\n".join(lines)


def _length(table: dict[str, Any]) -> str:
    schedule, arms = table["schedule"], list(table["networks"].values())
    sizes = sorted({_sizes(arm["plan"]) for arm in arms})
    planned = sorted({_sizes(arm["planned"]) for arm in arms})
    steps = "; ".join(sizes) + (f" (planned: {'; '.join(planned)})" if planned != sizes else "")
    if schedule.get("seconds"):
        length = f"Equal time: {schedule['seconds']:g} s of training each in {schedule['epochs']} epochs"
    else:
        iterations = schedule["epochs"] * schedule["iterations"]
        length = f"Equal iterations: {iterations} each ({schedule['epochs']} epochs of {schedule['iterations']})"
    devices = "; ".join(sorted({device for arm in arms for device in arm["devices"]}))
    return f"{length}; {steps}. {devices}."


def _sizes(plan: dict[str, Any]) -> str:
    return f"batch {plan['batch_size']}, patch {' x '.join(map(str, plan['patch_size']))}"


def _footnotes(table: dict[str, Any]) -> list[str]:
    """What a number of the table depends on beside its network."""
    networks, arms = table["networks"], table["networks"].values()
    ranked = [
        f"{networks[step['better']]['title']} against {networks[step['worse']]['title']} {_interval(step)}, "
        f"p {_p(step['p_holm'])}"
        for step in table.get("ranking", [])
        if step["mean"] is not None
    ]
    apart = [f"{arm['title']} {_interval(arm['between_seeds'])}" for arm in arms if arm["between_seeds"]]
    resumed = [
        f"{arm['title']}, fold {fold} of seed {seed}"
        for arm in arms
        for seed, folds in arm["resumed"].items()
        for fold in folds
    ]
    notes = [
        ("Ranking, each against the next", ranked),
        ("The same network, its last seed against its first", apart),
        ("Cut and gone on with, on other samples from there", resumed),
    ]
    return [line for head, found in notes if found for line in (f"{head}: {'; '.join(found)}.", "")]


def _p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _interval(difference: dict[str, Any]) -> str:
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def _difference(arm: dict[str, Any], table: dict[str, Any]) -> list[str]:
    numbers = [len(folds) for folds in arm["folds"].values()]
    trainings = " + ".join(map(str, numbers)) + (" fold" if numbers == [1] else " folds")
    cells = [
        arm["title"],
        f"{arm['cases']} ({trainings})",
        _spread(arm["structures"][ALL]["dice"], arm["cases"], 100, 2),
        ", ".join(f"{100 * dice:.2f}" for dice in arm["mean_dice_of_seeds"].values()),
    ]
    found = arm.get("difference", {}).get(ALL)
    if found is None or found["mean"] is None:
        return [*cells, "", "", ""]
    seeds = {int(seed) for each in (arm, table["networks"][table["reference"]]) for seed in each["folds"]}
    shared = arm["difference_of_seeds"]
    of = "" if seeds == set(shared) else f" (seed {', '.join(map(str, shared))})"
    return [
        *cells,
        f"{_interval(found)}{of}",
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


def _spread(number: dict[str, Any], cases: int, factor: float, digits: int) -> str:
    if number["mean"] is None:
        return "undefined"
    sd = "" if number["sd"] is None else f" ± {factor * number['sd']:.{digits}f}"
    of = f" ({number['n']})" if number["n"] < cases else ""
    return f"{factor * number['mean']:.{digits}f}{sd}{of}"


def _rows(heads: list[str]) -> list[str]:
    return [_row(heads), _row(["---"] * len(heads))]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

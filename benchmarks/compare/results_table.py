"""The README's table of results: one row a network, from the tables of a comparison."""

from __future__ import annotations

from typing import Any

from benchmarks.compare.networks import COMPARED
from benchmarks.markdown import table as rows_of

CONFIGURATIONS = ("2d", "3d_fullres")


def results_table(tables: list[dict[str, Any]], iterations: int = 400) -> str:
    """Mean Dice of each seed in 2d and 3d_fullres, the costs of the 2d networks, and how they were trained.

    Args:
        tables: The tables of a comparison on one dataset.
        iterations: The length of the trainings to show, of the lengths that the tables have.
    """
    chosen = {
        table["configuration"]: table
        for table in tables
        if table["schedule"]["epochs"] * (table["schedule"]["iterations"] or 0) == iterations
    }
    networks = {configuration: chosen[configuration]["networks"] for configuration in CONFIGURATIONS}
    heads = ["network", "Dice % 2d", "Dice % 3d_fullres", "parameters 2d", "training step 2d", "scan predicted 2d"]
    rows = [
        [
            network["title"],
            *(_dice(networks[configuration].get(name)) for configuration in CONFIGURATIONS),
            *_costs(network.get("cost")),
        ]
        for name, network in networks["2d"].items()
        if name in COMPARED
    ]
    eas = networks["2d"]["eas"]
    sizes = "; ".join(f"{c}: {_sizes(networks[c]['eas']['plan'])}" for c in CONFIGURATIONS)
    devices = sorted({device for c in CONFIGURATIONS for n in networks[c].values() for device in n["devices"]})
    caption = (
        f"{chosen['2d']['dataset']}, {eas['cases']} cases in {len(eas['folds']['0'])} folds, {iterations} iterations "
        f"of training each ({sizes}). A cell with two numbers has one mean Dice per seed. {'; '.join(devices)}."
    )
    return "\n".join([*rows_of(heads, rows), "", caption]) + "\n"


def _dice(network: dict[str, Any] | None) -> str:
    return "" if network is None else ", ".join(f"{100 * dice:.1f}" for dice in network["mean_dice_of_seeds"].values())


def _costs(cost: dict[str, Any] | None) -> list[str]:
    if cost is None:
        return ["", "", ""]
    seconds = [f"{cost['step_seconds']['median']:.2f} s", f"{cost['scan_seconds']['median']:.1f} s"]
    return [f"{cost['parameters'] / 1e6:.2f} M", *seconds]


def _sizes(plan: dict[str, Any]) -> str:
    return f"batch {plan['batch_size']}, patch {' x '.join(map(str, plan['patch_size']))}"

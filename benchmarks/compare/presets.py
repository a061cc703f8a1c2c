"""The comparisons that the runner trains and that `comparison` writes, by name."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from benchmarks.compare.networks import ABLATION, COMPARED, CONTROLS, FIRST_WEIGHTS, LENGTHS, NETWORKS, VARIANTS


@dataclass(frozen=True)
class Preset:
    """One comparison.

    Attributes:
        networks: The rows of the table behind the reference.
        reference: The network that the others are compared with.
        ranking: An order that someone claimed, the best network first, to be tested.
    """

    networks: tuple[str, ...]
    reference: str = "eas"
    ranking: tuple[str, ...] = ()

    @property
    def all_networks(self) -> list[str]:
        """The reference and the others, each once."""
        return list(dict.fromkeys((self.reference, *self.networks)))


PAPER_RANKING = ("eas_paper", "unet_plus_plus", "attention_unet", "unet")

PRESETS = {
    "comparison": Preset((*COMPARED, *CONTROLS), reference="default"),
    "rivals": Preset(
        ("eas", "unet", "attention_unet", "unet_plus_plus", "segnet", "deeplabv3plus"), reference="eas_paper"
    ),
    "ablation": Preset(tuple(ABLATION), reference="eas_paper"),
    "synthetic_knees": Preset(("eas", *PAPER_RANKING), reference="eas_paper", ranking=PAPER_RANKING),
    "redrawn_knees": Preset(("eas",), reference="eas_paper"),
    "variants": Preset(("default", *VARIANTS), reference="eas_paper"),
    "first_weights": Preset(tuple(FIRST_WEIGHTS), reference="eas_paper"),
    "lengths": Preset(tuple(LENGTHS), reference="eas_paper"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that choose networks: a preset, or names."""
    known = ", ".join(NETWORKS)
    parser.add_argument(
        "--preset", default="comparison", choices=PRESETS, help="the networks of a table (default: %(default)s)"
    )
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, metavar="NAME", help=f"these networks instead: {known}"
    )


def networks_of(args: argparse.Namespace) -> list[str]:
    """The networks that the arguments name."""
    return args.networks or PRESETS[args.preset].all_networks

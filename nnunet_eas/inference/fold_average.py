"""Several folds as one network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class FoldAverage(nn.Module):
    """The mean of the folds' logits, as nnU-Net's predictor averages several folds.

    Args:
        networks: One for each fold, in evaluation mode.

    Shape:
        As each of the networks.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of patches."""
        total = self.networks[0](image)
        for network in self.networks[1:]:
            total = total + network(image)
        return total / len(self.networks)

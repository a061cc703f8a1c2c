"""Comparison of an exported graph with the network that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from torch import nn

Precision = Literal["f32", "bf16"]

LARGEST_DIFFERENCE: dict[Precision, float] = {"f32": 1e-3, "bf16": 0.1}
"""Difference of logits, relative to their standard deviation. Correct graphs in single precision stay a hundred times
below."""

LEAST_EQUAL_LABELS = 0.999
"""Share of voxels with the same label; where two logits are equal the labels may differ in a correct graph."""


@dataclass(frozen=True)
class Agreement:
    """The distance between two computations of the same logits.

    Attributes:
        difference: The largest difference of logits, relative to their standard deviation.
        equal_labels: Share of voxels with the same label.
    """

    difference: float
    equal_labels: float

    def is_good(self, precision: Precision = "f32") -> bool:
        """Whether the logits are close enough; False too where one is not a number."""
        return self.difference <= LARGEST_DIFFERENCE[precision] and self.equal_labels >= LEAST_EQUAL_LABELS

    def __str__(self) -> str:
        return f"logits differ by at most {self.difference:.1e} of their spread, {self.equal_labels:.4%} labels equal"


def compare(
    run: Callable[[np.ndarray], np.ndarray],
    network: nn.Module,
    labels: LabelManager,
    *,
    input_channels: int,
    patch_size: Sequence[int],
) -> Agreement:
    """Compares graph and network on noise alone, and on a batch of three: smooth, noise, smooth.

    The network gets one image at a time, so that a graph that mixes the images of a batch is found.

    Args:
        run: The graph, (batch, channels, *patch) -> (batch, heads, *patch).
        network: In evaluation mode, on the CPU.
        labels: Makes labels of logits, regions included.
        input_channels: Channels of the image.
        patch_size: Spatial shape in voxels.

    Raises:
        ValueError: The graph gives another shape than the network.
    """
    rng = np.random.default_rng(0)
    shape = (input_channels, *patch_size)
    noise = [rng.standard_normal(shape).astype(np.float32) for _ in range(2)]
    smooth = [_smooth_image(rng, shape) for _ in range(2)]
    difference = spread = 0.0
    equal = []
    for batch in (np.stack(noise[:1]), np.stack([smooth[0], noise[1], smooth[1]])):
        logits = run(batch)
        with torch.inference_mode():
            expected = np.concatenate([network(torch.from_numpy(image[None])).numpy() for image in batch])
        if logits.shape != expected.shape:
            raise ValueError(f"The graph must give the shape {expected.shape}, got {logits.shape}. Report it, please.")
        difference = np.maximum(difference, np.abs(logits - expected).max())  # np: keeps what is not a number
        spread = max(spread, float(expected.std()))
        for ours, theirs in zip(logits, expected, strict=True):
            equal.append(np.mean(_labels(ours, labels) == _labels(theirs, labels)))
    return Agreement(float(difference) / max(spread, 1e-30), float(np.mean(equal)))


def _labels(logits: np.ndarray, labels: LabelManager) -> np.ndarray:
    return np.asarray(labels.convert_logits_to_segmentation(logits))


def _smooth_image(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Bright blobs on dark ground, normalised: closer to a scan than noise is."""
    axes = np.meshgrid(*[np.linspace(-1, 1, edge) for edge in shape[1:]], indexing="ij")
    image = np.zeros(shape)
    for channel in image:
        for _ in range(4):
            width, centre = rng.uniform(0.2, 0.5), rng.uniform(-0.6, 0.6, size=len(axes))
            channel += np.exp(-sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) / width**2)
        channel -= channel.mean()
        channel /= channel.std()
    return image.astype(np.float32)

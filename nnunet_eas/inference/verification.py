"""Comparison of an exported graph with the network that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from nnunet_eas.inference.trained_model import TrainedModel

Precision = Literal["f32", "bf16"]
# of a correct graph's logits, relative to their standard deviation; in single precision it stays a hundred times below
LARGEST_DIFFERENCE: dict[Precision, float] = {"f32": 1e-3, "bf16": 0.1}
LEAST_EQUAL_LABELS = 0.999  # where two logits are equal the labels may differ in a correct graph


@dataclass(frozen=True)
class Agreement:
    """The distance between two computations of the same logits."""

    difference: float  # the largest one, relative to the logits' standard deviation
    equal_labels: float  # share of voxels with the same label

    def is_good(self, precision: Precision = "f32") -> bool:
        """Whether the logits are close enough; False too where one is not a number."""
        return self.difference <= LARGEST_DIFFERENCE[precision] and self.equal_labels >= LEAST_EQUAL_LABELS

    def __str__(self) -> str:
        return f"logits differ by at most {self.difference:.1e} of their spread, {self.equal_labels:.4%} labels equal"


def compare(run: Callable[[np.ndarray], np.ndarray], network: nn.Module, model: TrainedModel) -> Agreement:
    """Compares a graph and its network of the model on noise alone, and on a batch of three: smooth, noise, smooth.

    The network, on the CPU, gets one image at a time, so that a graph that mixes the images of a batch is found.
    """
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal(model.image_shape).astype(np.float32) for _ in range(2)]
    smooth = [_smooth_image(rng, model.image_shape) for _ in range(2)]
    to_labels = model.label_manager.convert_logits_to_segmentation
    difference = spread = 0.0
    equal = []
    for batch in (np.stack(noise[:1]), np.stack([smooth[0], noise[1], smooth[1]])):
        with torch.inference_mode():
            logits = run(batch)
            expected = np.concatenate([network(torch.from_numpy(image[None])).numpy() for image in batch])
        if logits.shape != expected.shape:
            raise ValueError(f"The graph must give the shape {expected.shape}, got {logits.shape}. Report it, please.")
        difference = np.maximum(difference, np.abs(logits - expected).max())  # np: keeps what is not a number
        spread = max(spread, float(expected.std()))
        for ours, theirs in zip(logits, expected, strict=True):
            equal.append(np.mean(np.asarray(to_labels(ours)) == np.asarray(to_labels(theirs))))
    return Agreement(float(difference) / max(spread, 1e-30), float(np.mean(equal)))


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

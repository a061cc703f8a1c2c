"""nnU-Net's predictor with many patches and all mirrored views in one forward pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian
from nnunetv2.utilities.helpers import empty_cache
from tqdm import tqdm

Forward = Callable[[torch.Tensor], torch.Tensor]
"""A fold's network: patches (B, C, *patch) on the predictor's device to logits (B, heads, *patch)."""

SHARE_OF_FREE = 0.7  # of the memory for a pass; the rest is for the allocator's gaps and for other processes
MOST_PATCHES = 64  # in a pass: a GPU is busy with fewer, and a half-filled last batch costs time


class BatchedPredictor(nnUNetPredictor):
    """nnU-Net's predictor with more patches in a forward pass, and a choice of what runs the networks.

    nnU-Net forwards one patch at a time, and its mirrored views one after the other. Here a pass takes
    `patches_at_once` patches with all their views. Tiles, weights, the order in which they are summed, and the half
    precision of the sum are nnU-Net's, so that the masks agree.

    Args:
        patches_at_once: Halved where a pass runs out of memory. None: on CUDA as many as fit into the free memory,
            estimated from the first one; one elsewhere, as a CPU gains nothing by more.
        **of_nnunet: The arguments of `nnUNetPredictor`.
    """

    def __init__(self, patches_at_once: int | None = None, **of_nnunet: Any) -> None:
        super().__init__(**of_nnunet)
        self.patches_at_once = patches_at_once
        self.forwards: list[Forward] = []  # one for each fold, set before the first prediction

    def images_in(self, data: torch.Tensor) -> int:
        """The number of patches of a preprocessed scan times their mirrored views."""
        patch = self.configuration_manager.patch_size
        shape = data.shape[1:]
        padded = (*shape[: -len(patch)], *[max(a, b) for a, b in zip(shape[-len(patch) :], patch, strict=True)])
        return len(self._internal_get_sliding_window_slicers(padded)) * len(self._views())

    @torch.inference_mode()
    def predict_logits_from_preprocessed_data(self, data: torch.Tensor) -> torch.Tensor:
        """The mean of the folds' logits, (heads, z, y, x) on the CPU in half precision, of data (C, z, y, x)."""
        total: Any = None
        for forward in self.forwards:
            self._forward = forward
            of_fold = self.predict_sliding_window_return_logits(data).to("cpu")
            total = of_fold if total is None else total + of_fold
        return total / len(self.forwards) if len(self.forwards) > 1 else total

    def _internal_predict_sliding_window_return_logits(
        self, data: torch.Tensor, slicers: Sequence[tuple], do_on_device: bool = True
    ) -> torch.Tensor:
        """Overrides what nnU-Net calls after padding, and again with the CPU's memory where the GPU's is too small."""
        where = self.device if do_on_device else torch.device("cpu")
        data = data.to(where)
        heads = self.label_manager.num_segmentation_heads
        logits = torch.zeros((heads, *data.shape[1:]), dtype=torch.half, device=where)
        weights = torch.zeros(data.shape[1:], dtype=torch.half, device=where)
        gaussian: torch.Tensor | float = 1.0
        if self.use_gaussian:
            patch = tuple(self.configuration_manager.patch_size)
            gaussian = compute_gaussian(patch, sigma_scale=1.0 / 8, value_scaling_factor=10, device=where)
        with tqdm(total=len(slicers), disable=not self.allow_tqdm) as progress:
            for tiles, predicted in self._in_batches(data, slicers):
                for tile, prediction in zip(tiles, predicted.to(where), strict=True):
                    logits[tile] += prediction * gaussian
                    weights[tile[1:]] += gaussian
                progress.update(len(tiles))
        torch.div(logits, weights, out=logits)
        if torch.any(torch.isinf(logits)):
            raise RuntimeError("The network's logits must be finite in half precision, got infinite ones.")
        return logits

    def _in_batches(self, data: torch.Tensor, slicers: Sequence[tuple]) -> Iterator[tuple[Sequence[tuple], Any]]:
        """Yields tiles with their logits, in the slicers' order, as many at once as fit."""
        if self.patches_at_once is None:
            self.patches_at_once = self._as_many_as_fit(data[slicers[0]][None].to(self.device))
        done = 0
        while done < len(slicers):
            tiles = slicers[done : done + self.patches_at_once]
            patches = torch.stack([data[tile] for tile in tiles]).to(self.device)
            try:
                predicted = self._internal_maybe_mirror_and_predict(patches)
            except torch.OutOfMemoryError:
                if self.patches_at_once == 1:
                    raise
                self.patches_at_once //= 2
                empty_cache(self.device)
                continue
            yield tiles, predicted
            done += len(tiles)

    def _as_many_as_fit(self, patch: torch.Tensor) -> int:
        """A number of patches, from the memory that one patch with its views takes."""
        if self.device.type != "cuda":
            return 1
        self._internal_maybe_mirror_and_predict(patch)  # allocates what later passes use again
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self._internal_maybe_mirror_and_predict(patch)
        taken = torch.cuda.max_memory_allocated(self.device) - before
        free, _ = torch.cuda.mem_get_info(self.device)
        return min(MOST_PATCHES, max(1, int(SHARE_OF_FREE * free / max(taken, 1))))

    def _views(self) -> list[tuple[int, ...]]:
        """The axes of a batch along which each view is mirrored."""
        mirror_axes = self.allowed_mirroring_axes if self.use_mirroring else None
        axes = [axis + 2 for axis in mirror_axes or ()]
        return [view for n in range(len(axes) + 1) for view in itertools.combinations(axes, n)]

    def _internal_maybe_mirror_and_predict(self, x: torch.Tensor) -> torch.Tensor:
        """The mean over all mirrored views, which go through the network together."""
        views = self._views()
        predicted = self._forward(torch.cat([torch.flip(x, view) for view in views])).chunk(len(views))
        total = predicted[0].clone()
        for view, of_view in zip(views[1:], predicted[1:], strict=True):
            total += torch.flip(of_view, view)
        return total / len(views)

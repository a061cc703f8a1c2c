"""nnU-Net's predictor with many patches and mirrored views in one forward pass."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian
from nnunetv2.utilities.helpers import empty_cache
from tqdm import tqdm

Forward = Callable[[torch.Tensor], torch.Tensor]
"""A fold's network: patches (B, C, *patch) on the predictor's device to logits (B, heads, *patch)."""

SHARE_OF_FREE = 0.7  # of the memory for a pass; the rest is for the allocator's gaps and for other processes
MOST_IMAGES = 256  # in a pass: a GPU is busy with fewer
MOST_PADDING = 1 / 8  # of a scan's images: what a last pass as large as the others may add
SIGNS_OF_TOO_LITTLE_MEMORY = ("out of memory", "alloc_failed", "unable to find an engine", "not enough memory")
"""In the messages of PyTorch, cuDNN, cuBLAS and MPS, in lower case: not all of them raise torch.OutOfMemoryError."""

Image = tuple[tuple, tuple[int, ...]]
"""A patch's slices in the scan, and the spatial axes along which it is mirrored."""


class BatchedPredictor(nnUNetPredictor):
    """nnU-Net's predictor with more images in a forward pass, and a choice of what runs the networks.

    An image is a mirrored view of a patch. nnU-Net forwards one at a time; here a pass takes `images_at_once` of them.
    Tiles, weights, the order in which they are summed, and the half precision of the sum are nnU-Net's, so that the
    masks agree.

    Args:
        patches_at_once: Patches with all their views in a pass; fewer images where the memory does not suffice. None:
            on CUDA as many images as fit into the free memory, estimated from one; one patch elsewhere, as a CPU gains
            nothing by more.
        autocast_dtype: Number format of the networks on CUDA.
        **of_nnunet: The arguments of `nnUNetPredictor`.
    """

    def __init__(
        self, patches_at_once: int | None = None, autocast_dtype: torch.dtype = torch.float16, **of_nnunet: Any
    ) -> None:
        super().__init__(**of_nnunet)
        self.patches_at_once = patches_at_once
        self.autocast_dtype = autocast_dtype
        self.images_at_once: int | None = None  # known after the first pass
        self.forwards: list[Forward] = []  # one for each fold, set before the first prediction

    def images_in(self, data: torch.Tensor) -> int:
        """The number of patches of a preprocessed scan times their mirrored views."""
        patch = self.configuration_manager.patch_size
        shape = data.shape[1:]
        padded = (*shape[: -len(patch)], *[max(a, b) for a, b in zip(shape[-len(patch) :], patch, strict=True)])
        return len(self._internal_get_sliding_window_slicers(padded)) * len(self._views())

    @torch.inference_mode()
    def predict_logits_from_preprocessed_data(self, data: torch.Tensor) -> torch.Tensor:
        """The mean of the folds' logits, (heads, z, y, x) on the CPU in half precision, of data (C, z, y, x).

        Raises:
            ValueError: Some logits are not finite.
        """
        total: Any = None
        with autocast_dtype(self.autocast_dtype):
            for forward in self.forwards:
                self._forward = forward
                of_fold = self.predict_sliding_window_return_logits(data).to("cpu")
                total = of_fold if total is None else total + of_fold
        return total / len(self.forwards) if len(self.forwards) > 1 else total

    def _internal_predict_sliding_window_return_logits(
        self, data: torch.Tensor, slicers: Sequence[tuple], do_on_device: bool = True
    ) -> torch.Tensor:
        """Overrides what nnU-Net calls after padding, and again with the CPU's memory where the GPU's is too small."""
        try:
            return self._sum_of_tiles(data, slicers, self.device if do_on_device else torch.device("cpu"))
        except RuntimeError as error:
            # nnU-Net calls again while it handles the error, whose frames would keep the GPU's memory
            traceback.clear_frames(error.__traceback__)
            raise

    def _sum_of_tiles(self, data: torch.Tensor, slicers: Sequence[tuple], where: torch.device) -> torch.Tensor:
        """The logits of a scan, summed on a device."""
        data = data.to(where)
        heads = self.label_manager.num_segmentation_heads
        logits = torch.zeros((heads, *data.shape[1:]), dtype=torch.half, device=where)
        weights = torch.zeros(data.shape[1:], dtype=torch.half, device=where)
        gaussian: torch.Tensor | float = 1.0
        if self.use_gaussian:
            patch = tuple(self.configuration_manager.patch_size)
            gaussian = compute_gaussian(patch, sigma_scale=1.0 / 8, value_scaling_factor=10, device=where)
        for tile, predicted in tqdm(self._tiles(data, slicers), total=len(slicers), disable=not self.allow_tqdm):
            logits[tile] += predicted.to(where) * gaussian
            weights[tile[1:]] += gaussian
        torch.div(logits, weights, out=logits)
        if not torch.isfinite(logits).all():
            raise ValueError(
                "The network's logits must be finite, got infinite ones or no numbers. Data that overflow half "
                "precision need a model of EASUNetTrainer_bf16, or -device cpu."
            )
        return logits

    def _tiles(self, data: torch.Tensor, slicers: Sequence[tuple]) -> Iterator[tuple[tuple, torch.Tensor]]:
        """Yields each tile with its logits, the mean over all mirrored views, in nnU-Net's order."""
        views = self._views()
        images: list[Image] = [(tile, view) for tile in slicers for view in views]
        size = self._pass_size(data, images)
        total: Any = None
        done = 0
        while done < len(images):
            of_pass = images[done : done + size]
            predicted = self._try_pass(data, of_pass, size)
            if predicted is None:
                size = self.images_at_once = size // 2
                continue
            for (tile, view), of_view in zip(of_pass, predicted, strict=True):
                total = of_view if view == views[0] else total.add_(of_view)
                if view == views[-1]:
                    yield tile, total / len(views)
            done += len(of_pass)

    def _try_pass(self, data: torch.Tensor, images: Sequence[Image], size: int) -> list[torch.Tensor] | None:
        """A pass; None where the memory does not suffice and a smaller one can be tried."""
        try:
            return self._pass(data, images, size)
        except RuntimeError as error:
            if size == 1 or not _is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
        empty_cache(self.device)  # after the handler: the error keeps its frames, and these the memory
        return None

    def _pass(self, data: torch.Tensor, images: Sequence[Image], size: int) -> list[torch.Tensor]:
        """The logits of images, turned back; on CUDA the pass has `size` images: for another size cuDNN tunes again."""
        batch = torch.stack([torch.flip(data[tile], _axes(view)) for tile, view in images]).to(self.device)
        if self.device.type == "cuda" and len(batch) < size:
            batch = torch.cat([batch, batch[-1:].expand(size - len(batch), *batch.shape[1:])])
        predicted = self._forward(batch)[: len(images)]
        return [torch.flip(logits, _axes(view)) for logits, (_, view) in zip(predicted, images, strict=True)]

    def _pass_size(self, data: torch.Tensor, images: Sequence[Image]) -> int:
        """Images in a pass: on CUDA a power of two, so that scans of all sizes have few, and little is padded."""
        if self.images_at_once is None:
            patches = self.patches_at_once or (1 if self.device.type != "cuda" else None)
            views = len(self._views())
            self.images_at_once = self._as_many_as_fit(data, images) if patches is None else patches * views
        size = min(self.images_at_once, len(images))
        if self.device.type == "cuda":
            size = 2 ** (size.bit_length() - 1)
            while -len(images) % size > MOST_PADDING * len(images):
                size //= 2
        return size

    def _as_many_as_fit(self, data: torch.Tensor, images: Sequence[Image]) -> int:
        """A number of images, from the memory that a pass of one takes."""
        self._pass(data, images[:1], 1)  # allocates what later passes use again
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self._pass(data, images[:1], 1)
        taken = torch.cuda.max_memory_allocated(self.device) - before
        free, _ = torch.cuda.mem_get_info(self.device)
        # blocks that PyTorch has freed and still holds
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return min(MOST_IMAGES, max(1, int(SHARE_OF_FREE * free / max(taken, 1))))

    def _views(self) -> list[tuple[int, ...]]:
        """The spatial axes of a patch along which each view is mirrored, in nnU-Net's order."""
        axes = (self.allowed_mirroring_axes if self.use_mirroring else None) or ()
        return [view for n in range(len(axes) + 1) for view in itertools.combinations(axes, n)]


def _axes(view: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a tensor (C, *patch)."""
    return tuple(axis + 1 for axis in view)


def _is_out_of_memory(error: RuntimeError) -> bool:
    message = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(sign in message for sign in SIGNS_OF_TOO_LITTLE_MEMORY)


@contextmanager
def autocast_dtype(dtype: torch.dtype) -> Iterator[None]:
    """The number format on CUDA inside: nnU-Net calls autocast without one, and so takes that of the process."""
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", dtype)
    try:
        yield
    finally:
        torch.set_autocast_dtype("cuda", before)

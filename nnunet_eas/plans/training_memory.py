"""The bytes that a training step of nnU-Net's trainer holds, counted without holding them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one training step.

    Attributes:
        weights: Parameters and buffers.
        gradients: Of all parameters, at the end of the backward pass.
        momentum: The optimiser's.
        activations: What the forward pass keeps for the backward pass, weights apart. It grows with batch and patch.
        peak: Everything that is alive at the worst moment, all of the above included as far as it lives then.
    """

    weights: int
    gradients: int
    momentum: int
    activations: int
    peak: int


def training_step_memory(
    architecture: Mapping[str, Any],
    *,
    input_channels: int,
    num_outputs: int,
    patch_size: Sequence[int],
    batch_size: int,
    has_regions: bool = False,
    precision: torch.dtype = torch.float16,
) -> StepMemory:
    """Runs one eager training step on the meta device, where tensors have shapes and no data, and counts.

    Forward pass, nnU-Net's loss with deep supervision, backward pass and SGD with momentum, as nnU-Net's trainer does
    them; its gradient clipping takes one number a parameter and is left out. Half precision is autocast's: convolutions
    and what follows them in half; norms' parameters, logits in the loss, weights, gradients and momentum in single.

    What libraries allocate by themselves (cuDNN's workspaces) and what an allocator loses between its blocks is not
    seen here. A compiled step keeps less than an eager one.

    Args:
        architecture: As a plan records it: `network_class_name`, `arch_kwargs`, `_kw_requires_import`.
        input_channels: Channels of the network's input.
        num_outputs: Channels of its output.
        patch_size: In voxels.
        batch_size: At least 1.
        has_regions: Region-based training: binary cross entropy and one target map for each region.
        precision: torch.float16 or bfloat16 for autocast, torch.float32 for none, as on the CPU.
    """
    kwargs = architecture["arch_kwargs"]
    with torch.device("meta"):
        network = get_network_from_plans(
            architecture["network_class_name"],
            dict(kwargs),
            architecture["_kw_requires_import"],
            input_channels,
            num_outputs,
            allow_init=False,
            deep_supervision=kwargs["n_stages"] > 2,
        )
        optimizer = torch.optim.SGD(
            network.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5, foreach=True
        )
        momentum = {p: torch.empty_like(p) for p in network.parameters()}
        optimizer.state.update({p: {"momentum_buffer": m} for p, m in momentum.items()})  # as after the first step
        data = torch.empty(batch_size, input_channels, *patch_size)
        targets = segmentation_targets(kwargs["strides"], patch_size, batch_size, num_outputs, has_regions)
    loss_function = segmentation_loss(len(targets), has_regions)

    live = _LiveBytes()
    state = [*network.parameters(), *network.buffers()]
    for tensor in (*state, *momentum.values(), data, *targets):
        live.add(tensor)
    with live:
        with kept_bytes(apart_from=state) as kept:
            with _Autocast(precision):
                outputs = network(data)
            outputs = outputs if isinstance(outputs, list) else [outputs]
            # the trainer holds on to the outputs; autocast's single precision copies go with the loss
            loss = loss_function([output.float() for output in outputs], targets)
        loss.backward()
        optimizer.step()
    return StepMemory(
        weights=_bytes(state),
        gradients=_bytes([p.grad for p in network.parameters() if p.grad is not None]),
        momentum=_bytes(list(momentum.values())),
        activations=sum(kept.values()),
        peak=live.peak,
    )


def segmentation_targets(
    strides: Sequence[Sequence[int]], patch_size: Sequence[int], batch_size: int, num_outputs: int, has_regions: bool
) -> list[torch.Tensor]:
    """The loader's segmentations, one for each output of deep supervision, not filled."""
    targets = []
    shape = list(patch_size)
    for stage_strides in strides[:-1] if len(strides) > 2 else strides[:1]:
        shape = [-(-edge // stride) for edge, stride in zip(shape, stage_strides, strict=True)]
        channels, dtype = (num_outputs, torch.bool) if has_regions else (1, torch.int16)
        targets.append(torch.empty(batch_size, channels, *shape, dtype=dtype))
    return targets


def segmentation_loss(n_outputs: int, has_regions: bool) -> nn.Module:
    """The trainer's loss for a list of outputs: CE (regions: BCE) and Dice, with deep supervision's weights."""
    dice = {"batch_dice": True, "do_bg": has_regions, "smooth": 1e-5, "ddp": False}
    loss = (
        DC_and_BCE_loss({}, dice, dice_class=MemoryEfficientSoftDiceLoss)
        if has_regions
        else DC_and_CE_loss(dice, {}, dice_class=MemoryEfficientSoftDiceLoss)
    )
    # the host weights the lowest output 0 and skips it
    weights = [1 / 2**i for i in range(max(1, n_outputs - 1))] + [0] * (n_outputs > 1)
    return DeepSupervisionWrapper(loss, weights)


class _Autocast(TorchFunctionMode):
    """torch.autocast knows no meta device. This is its rule for convolutions, the only products of these networks."""

    CONVOLUTIONS = frozenset((F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d))

    def __init__(self, precision: torch.dtype) -> None:
        super().__init__()
        self.precision = precision

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.CONVOLUTIONS:
            args = [a.to(self.precision) if isinstance(a, torch.Tensor) else a for a in args]
        return func(*args, **(kwargs or {}))


def _like_input(*args: Any) -> torch.Tensor:
    return torch.empty_like(args[0])


def _input(*args: Any, **_: Any) -> torch.Tensor:
    return args[0]


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _like_all(tensors: Sequence[torch.Tensor], *_: Any, **__: Any) -> list[torch.Tensor]:
    return [torch.empty_like(tensor) for tensor in tensors]


def _resized(x: torch.Tensor, size: Sequence[int], *_: Any) -> torch.Tensor:
    return x.new_empty((*x.shape[:2], *size))


def _batch_norm(x: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mean = torch.empty(x.shape[1], device="meta")
    return torch.empty_like(x), mean, torch.empty_like(mean)


# What these make is plain, and PyTorch's own meta kernels for them, written in Python, take most of the time
_SHORTCUTS: dict[Any, Any] = {
    torch.ops.aten.hardswish.default: _like_input,
    torch.ops.aten.hardswish_backward.default: _like_input,
    torch.ops.aten.leaky_relu_.default: _input,
    torch.ops.aten.leaky_relu_backward.default: _like_input,
    torch.ops.aten.native_batch_norm.default: _batch_norm,
    torch.ops.aten.native_batch_norm_backward.default: _batch_norm,
    torch.ops.aten.upsample_bilinear2d.default: _resized,
    torch.ops.aten.upsample_trilinear3d.default: _resized,
    torch.ops.aten._foreach_add.List: _like_all,
    torch.ops.aten._foreach_add_.List: _nothing,
    torch.ops.aten._foreach_mul_.Scalar: _nothing,
}


class _LiveBytes(TorchDispatchMode):
    """Follows the storages that operations make, from their making to their release."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shortcut = _SHORTCUTS.get(func)
        result = shortcut(*args) if shortcut else func(*args, **(kwargs or {}))
        for tensor in (result,) if isinstance(result, torch.Tensor) else tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor)
        return result

    def add(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage, once, until it is released."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.now += self._known[key]
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, key)

    def _release(self, key: int) -> None:
        self.now -= self._known.pop(key)


@contextmanager
def kept_bytes(apart_from: Sequence[torch.Tensor]) -> Iterator[dict[int, int]]:
    """Bytes of every storage that autograd keeps for the backward pass, by the storage's identity."""
    known = {tensor.untyped_storage()._cdata for tensor in apart_from}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()  # lives as long as the graph that keeps the tensor: its identity is unique
        if storage._cdata not in known:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def _bytes(tensors: Sequence[torch.Tensor]) -> int:
    return sum(math.prod(tensor.shape) * tensor.element_size() for tensor in tensors)

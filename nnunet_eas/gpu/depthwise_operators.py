"""Depthwise 3-D convolution by Triton kernels, as operators that autograd and torch.compile know.

PyTorch's own kernels reach between a ninth and an eightieth of the bandwidth of a copy, on large maps
(`benchmarks/results/depthwise_gpu.json`). With TRITON_INTERPRET=1, Triton's interpreter runs ours on a CPU, for tests.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import triton
from torch.nn import functional as F
from torch.nn.grad import conv3d_input, conv3d_weight

from nnunet_eas.gpu.depthwise_kernels import convolve_kernel, weight_gradient_kernel

DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class Tiling(NamedTuple):
    """How the work is cut into programs.

    Attributes:
        block: Groups of a tile, a power of two. 32 times `num_warps` gives every thread one group.
        vector: Neighbours along W of a group: 1, 2, 4 or, for 16-bit types, 8. It must divide W.
        steps: Planes of a walk along D, which reads up to `kernel_edge - 1` planes more.
        num_warps: Warps of a program.
        chunks: Programs of a channel, each of which writes one partial sum; for the weight's gradient alone.
    """

    block: int
    vector: int
    steps: int
    num_warps: int
    chunks: int = 1


SMALL_PLANE = 4096  # values; smaller planes have too few tiles for the widest vector
PROGRAMS, PROGRAMS_OF_WEIGHT = 1024, 4096  # aimed at: enough to fill a large GPU's multiprocessors
FEWEST_STEPS = 4  # shorter walks read too many planes twice


def tiling_of(shape: Sequence[int], itemsize: int, dilation: Sequence[int], for_weight: bool = False) -> Tiling:
    """The tiling for an input: for a knee's maps those of `benchmarks/results/depthwise_gpu.json` that were fast.

    Args:
        shape: Shape of the input, (B, C, D, H, W), no axis empty.
        itemsize: Bytes of a value.
        dilation: For each axis.
        for_weight: Whether it is for the weight's gradient.
    """
    batch, channels, depth, height, width = shape
    vector, block = (4, 64) if height * width <= SMALL_PLANE else (8, 128)
    vector = min(vector, 16 // itemsize)  # 16 bytes are the widest load
    while width % vector:
        vector //= 2
    groups = height * (width // vector)
    block = min(block, max(triton.next_power_of_2(groups), 32))
    walks = batch * channels * triton.cdiv(groups, block) * min(dilation[0], depth)  # along all of D
    planes = triton.cdiv(depth, dilation[0])
    pieces = max(1, min(PROGRAMS // walks, triton.cdiv(planes, FEWEST_STEPS)))
    steps = triton.cdiv(planes, pieces)
    chunks = 1
    if for_weight:
        chunks = min(triton.cdiv(PROGRAMS_OF_WEIGHT, channels), walks // channels * triton.cdiv(planes, steps))
    return Tiling(block, vector, steps, num_warps=block // 32, chunks=chunks)


def convolve(
    x: torch.Tensor, weight: torch.Tensor, dilation: Sequence[int], mirrored: bool = False, tiling: Tiling | None = None
) -> torch.Tensor:
    """The convolution without autograd.

    Args:
        x: (B, C, D, H, W).
        weight: (C, 1, kd, kh, kw) in x's number format.
        dilation: For each axis.
        mirrored: Whether to mirror the weight along all axes, which gives the gradient of the input.
        tiling: None for `tiling_of`'s.

    Returns:
        Contiguous, with x's shape and number format.

    Raises:
        ValueError: A shape, an edge or a dilation does not fit.
        TypeError: A number format does not fit.
    """
    _check(x, weight.shape[2:], dilation)
    if weight.ndim != 5 or weight.shape[:2] != (x.shape[1], 1):
        raise ValueError(f"weight must have the shape ({x.shape[1]}, 1, kd, kh, kw), got {tuple(weight.shape)}.")
    if weight.dtype != x.dtype or weight.device != x.device:
        found = f"{weight.dtype} on {weight.device}"
        raise TypeError(f"weight must have the number format and device of x, {x.dtype} on {x.device}, got {found}.")
    x, weight = x.contiguous(), weight.contiguous()
    y = torch.empty_like(x)
    if not y.numel():
        return y
    tiling = tiling or tiling_of(x.shape, x.element_size(), dilation)
    groups, tiles, walks = _geometry(x, dilation, tiling)
    with _current(x):
        convolve_kernel[(x.shape[0] * x.shape[1] * walks * tiles,)](
            x,
            weight,
            y,
            *x.shape[1:4],
            groups,
            tiles,
            walks,
            tiling.steps,
            *weight.shape[2:],
            *dilation,
            FLIP=mirrored,
            BLOCK=tiling.block,
            VECTOR=tiling.vector,
            num_warps=tiling.num_warps,
        )
    return y


def weight_gradient(
    grad: torch.Tensor,
    x: torch.Tensor,
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    tiling: Tiling | None = None,
) -> torch.Tensor:
    """The gradient of the weight, (C, 1, kd, kh, kw) in x's number format.

    Args:
        grad: The gradient of the output, with x's shape and number format.
        x: (B, C, D, H, W).
        kernel_size: (kd, kh, kw).
        dilation: For each axis.
        tiling: None for `tiling_of`'s.

    Raises:
        ValueError: A shape, an edge or a dilation does not fit.
        TypeError: A number format does not fit.
    """
    _check(x, kernel_size, dilation)
    if grad.shape != x.shape or grad.dtype != x.dtype:
        found = f"{tuple(grad.shape)} {grad.dtype}"
        raise ValueError(f"grad must have x's shape and number format, {tuple(x.shape)} {x.dtype}, got {found}.")
    grad, x = grad.contiguous(), x.contiguous()
    if not x.numel():
        return x.new_zeros((x.shape[1], 1, *kernel_size))
    tiling = tiling or tiling_of(x.shape, x.element_size(), dilation, for_weight=True)
    groups, tiles, walks = _geometry(x, dilation, tiling)
    sums = x.new_empty((tiling.chunks, x.shape[1], 1, *kernel_size), dtype=torch.float32)
    with _current(x):
        weight_gradient_kernel[(x.shape[1] * tiling.chunks,)](
            x,
            grad,
            sums,
            *x.shape[:4],
            groups,
            tiles,
            walks,
            tiling.steps,
            tiling.chunks,
            *kernel_size,
            *dilation,
            BLOCK=tiling.block,
            VECTOR=tiling.vector,
            num_warps=tiling.num_warps,
        )
    return sums.sum(0).to(x.dtype)


def _current(x: torch.Tensor) -> contextlib.AbstractContextManager[None]:
    """Makes x's GPU the current one, on which kernels start."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


def _check(x: torch.Tensor, kernel_size: Sequence[int], dilation: Sequence[int]) -> None:
    if x.ndim != 5:
        raise ValueError(f"x must have five axes (B, C, D, H, W), got {tuple(x.shape)}.")
    if x.dtype not in DTYPES:
        raise TypeError(f"x must be float16, bfloat16 or float32, got {x.dtype}.")
    if len(kernel_size) != 3 or any(edge < 1 or edge % 2 == 0 for edge in kernel_size):
        raise ValueError(f"weight must have three odd edges, got {tuple(kernel_size)}.")
    if len(dilation) != 3 or any(rate < 1 for rate in dilation):
        raise ValueError(f"dilation must be three numbers of at least 1, got {tuple(dilation)}.")


def _geometry(x: torch.Tensor, dilation: Sequence[int], tiling: Tiling) -> tuple[int, int, int]:
    """Groups of a row, tiles of a plane and walks of a volume."""
    depth, height, width = x.shape[2:]
    if width % tiling.vector:
        raise ValueError(f"vector must divide the width {width}, got {tiling.vector}.")
    if height * width >= 2**31 - 2**16:
        raise ValueError(f"A plane must have less than 2^31 values, got {height} x {width}.")
    groups = width // tiling.vector
    # every residue gets as many walks as the longest one; a walk too many finds nothing to do
    walks = dilation[0] * triton.cdiv(triton.cdiv(depth, dilation[0]), tiling.steps)
    return groups, triton.cdiv(height * groups, tiling.block), walks


def _operator(name: str, schema: str) -> Any:
    return torch.library.custom_op(f"nnunet_eas::depthwise_conv3d{name}", mutates_args=(), schema=schema)


@_operator("", "(Tensor x, Tensor weight, int[] dilation) -> Tensor")
def _forward(x: torch.Tensor, weight: torch.Tensor, dilation: Sequence[int]) -> torch.Tensor:
    geometry = _of_pytorch(weight.shape, dilation)
    return _or_pytorch(partial(convolve, x, weight, dilation), partial(F.conv3d, x, weight, None, *geometry))


@_operator("_of_input", "(Tensor grad, Tensor weight, int[] dilation) -> Tensor")
def _input_gradient(grad: torch.Tensor, weight: torch.Tensor, dilation: Sequence[int]) -> torch.Tensor:
    geometry = _of_pytorch(weight.shape, dilation)
    ours = partial(convolve, grad, weight, dilation, mirrored=True)
    return _or_pytorch(ours, partial(conv3d_input, grad.shape, weight, grad, *geometry))


@_operator("_of_weight", "(Tensor grad, Tensor x, int[] kernel_size, int[] dilation) -> Tensor")
def _weight_gradient(
    grad: torch.Tensor, x: torch.Tensor, kernel_size: Sequence[int], dilation: Sequence[int]
) -> torch.Tensor:
    shape = (x.shape[1], 1, *kernel_size)
    ours = partial(weight_gradient, grad, x, kernel_size, dilation)
    return _or_pytorch(ours, partial(conv3d_weight, x, shape, grad, *_of_pytorch(shape, dilation)))


def _of_pytorch(shape: Sequence[int], dilation: Sequence[int]) -> tuple[int, list[int], Sequence[int], int]:
    """Stride, padding, dilation and groups, for a weight of this shape."""
    return 1, [rate * (edge // 2) for rate, edge in zip(dilation, shape[2:], strict=True)], dilation, shape[0]


faults: list[str] = []
"""Why no kernel runs in this process any more: no C compiler, no place for Triton's files, a GPU it does not know."""


def _or_pytorch(ours: Callable[[], torch.Tensor], theirs: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Our result, or PyTorch's once Triton could not start a kernel."""
    if not faults:
        try:
            return ours()
        except (torch.cuda.OutOfMemoryError, TypeError, ValueError):  # not the kernels' fault
            raise
        except Exception as error:  # Triton's, the compiler's and the driver's are of many types
            faults.append(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
            warnings.warn(
                "PyTorch computes 3-D depthwise convolutions, more slowly, as Triton cannot start a kernel: "
                f"{faults[0]}. Install a C compiler, or set NNUNET_EAS_DEPTHWISE=pytorch.",
                stacklevel=2,
            )
    return theirs()


@_forward.register_fake
@_input_gradient.register_fake
def _like_the_map(x: torch.Tensor, weight: torch.Tensor, dilation: Sequence[int]) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@_weight_gradient.register_fake
def _like_the_weight(
    grad: torch.Tensor, x: torch.Tensor, kernel_size: Sequence[int], dilation: Sequence[int]
) -> torch.Tensor:
    return x.new_empty((x.shape[1], 1, *kernel_size))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:  # called with these names
    ctx.save_for_backward(*inputs[:2])
    ctx.dilation = inputs[2]


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
    x, weight = ctx.saved_tensors
    of_input, of_weight, _ = ctx.needs_input_grad
    return (
        _input_gradient(grad, weight, ctx.dilation) if of_input else None,
        _weight_gradient(grad, x, weight.shape[2:], ctx.dilation) if of_weight else None,
        None,
    )


_forward.register_autograd(_backward, setup_context=_keep)


def depthwise_conv3d(x: torch.Tensor, weight: torch.Tensor, dilation: Sequence[int]) -> torch.Tensor:
    """The depthwise convolution that keeps the size, with gradients; under autocast in its number format.

    It computes what `torch.nn.functional.conv3d` does with C groups and a padding of dilation * (edge // 2).

    Args:
        x: (B, C, D, H, W), float16, bfloat16 or float32.
        weight: (C, 1, kd, kh, kw), odd edges.
        dilation: For each axis.

    Raises:
        ValueError: A shape, an edge or a dilation does not fit.
        TypeError: A number format does not fit.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    result: torch.Tensor = _forward(x, weight, list(dilation))
    return result

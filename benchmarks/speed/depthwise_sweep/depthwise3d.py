"""Depthwise 3-D convolution as Triton kernels.

One filter per channel (``groups == channels``, channel multiplier 1), stride 1, any dilation, odd kernel edges, no
bias, and the padding that keeps the size (``dilation * (kernel_edge // 2)`` per axis). Tensors are contiguous in NCDHW
order; float16, bfloat16 and float32 are supported, and sums are kept in float32.

A depthwise convolution does little arithmetic per value, so its time is set by memory traffic and by the number of
load instructions. The kernels therefore share these ideas:

*   **Flattened tiles.** A program works on ``block * vector`` consecutive values of one H x W plane, whatever the row
    length, so reads along W are coalesced and no lane idles at the end of a row.
*   **Walks along D.** A program keeps its tile and steps from plane to plane. Each plane is loaded once per walk and
    contributes to all the outputs that need it; those stay in registers until they are complete. With a dilation
    along D, a walk visits every ``dilation``-th plane.
*   **Vectors along W.** Each lane holds ``vector`` neighbouring values. For an undilated kernel row of three taps, the
    tiles shifted by one to either side are put together from registers and one loaded value per lane.

The operators ``eas_dw::forward``, ``eas_dw::input_gradient`` and ``eas_dw::weight_gradient`` are registered with
PyTorch, so autograd and ``torch.compile`` can use them. Nothing here uses atomics: results are reproducible.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["TileConfig", "convolve", "convolve_weight_gradient", "default_config", "depthwise_conv3d"]

_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


# ----------------------------------------------------------------------------------------------------------------------
# Kernels
#
# Index conventions: a tile has the shape [BLOCK, VECTOR]; its row is a *group* of VECTOR neighbouring values along W.
# ``GROUPS`` groups make a row of the volume (W == GROUPS * VECTOR, which also tells the compiler how far addresses are
# aligned). A *walk* covers the planes ``residue + DD * (first + n)`` for n = 0, 1, ..., where DD is the dilation along
# D and ``residue`` is below DD; ``length`` is the number of planes with this residue.
#
# Sizes are not specialized: one compiled kernel serves all shapes.
# ----------------------------------------------------------------------------------------------------------------------


@triton.jit
def _split_lanes(tile, BLOCK: tl.constexpr, VECTOR: tl.constexpr):
    """Split a tile into a tuple of VECTOR tensors of shape [BLOCK], without leaving registers."""
    LEVELS: tl.constexpr = (VECTOR > 1) + (VECTOR > 2) + (VECTOR > 4)
    parts = (tile,)
    for level in tl.static_range(LEVELS):  # parts[j] holds the values j, j + 2**level, j + 2 * 2**level, ...
        evens = ()
        odds = ()
        for j in tl.static_range(2**level):
            even, odd = tl.split(tl.reshape(parts[j], [BLOCK, VECTOR // 2 ** (level + 1), 2]))
            evens = evens + (even,)
            odds = odds + (odd,)
        parts = evens + odds
    lanes = ()
    for j in tl.static_range(VECTOR):
        lanes = lanes + (tl.reshape(parts[j], [BLOCK]),)
    return lanes


@triton.jit
def _join_lanes(lanes, BLOCK: tl.constexpr, VECTOR: tl.constexpr):
    """Put a tile together again: the inverse of `_split_lanes`."""
    LEVELS: tl.constexpr = (VECTOR > 1) + (VECTOR > 2) + (VECTOR > 4)
    parts = lanes
    for level in tl.static_range(LEVELS):
        joined = ()
        for j in tl.static_range(VECTOR // 2 ** (level + 1)):
            pair = tl.join(parts[j], parts[j + VECTOR // 2 ** (level + 1)])
            joined = joined + (tl.reshape(pair, [BLOCK, 2 ** (level + 1)]),)
        parts = joined
    return parts[0]


@triton.jit
def _load_plane(
    plane_ptr,
    group,
    inside,
    H,
    GROUPS,
    KH: tl.constexpr,
    KW: tl.constexpr,
    DH: tl.constexpr,
    DW: tl.constexpr,
    VECTOR: tl.constexpr,
):
    """Load what `_neighbours` needs from one plane: a tuple of KH * KW tensors, zero outside the plane."""
    W = GROUPS * VECTOR
    row = group // GROUPS
    column = group % GROUPS
    lane = tl.arange(0, VECTOR)[None, :]
    loaded = ()
    for ky in tl.static_range(KH):
        shift_y = (ky - KH // 2) * DH
        row_inside = inside & (row + shift_y >= 0) & (row + shift_y < H)
        start = group * VECTOR + shift_y * W
        pointers = plane_ptr + (start[:, None] + lane)
        if KW == 3 and DW == 1 and VECTOR > 1:
            edges = plane_ptr + start
            left = tl.load(edges - 1, mask=row_inside & (column > 0), other=0.0)
            centre = tl.load(pointers, mask=row_inside[:, None], other=0.0)
            right = tl.load(edges + VECTOR, mask=row_inside & (column < GROUPS - 1), other=0.0)
            loaded = loaded + (left, centre, right)
        else:
            for kx in tl.static_range(KW):
                shift_x = (kx - KW // 2) * DW
                x = column[:, None] * VECTOR + lane + shift_x
                mask = row_inside[:, None] & (x >= 0) & (x < W)
                loaded = loaded + (tl.load(pointers + shift_x, mask=mask, other=0.0),)
    return loaded


@triton.jit
def _neighbours(
    loaded, KH: tl.constexpr, KW: tl.constexpr, DW: tl.constexpr, BLOCK: tl.constexpr, VECTOR: tl.constexpr
):
    """Turn the result of `_load_plane` into the KH * KW shifted tiles, in float32."""
    tiles = ()
    if KW == 3 and DW == 1 and VECTOR > 1:
        for ky in tl.static_range(KH):
            left = loaded[3 * ky].to(tl.float32)
            centre = loaded[3 * ky + 1].to(tl.float32)
            right = loaded[3 * ky + 2].to(tl.float32)
            lanes = (left,) + _split_lanes(centre, BLOCK, VECTOR) + (right,)
            before = ()
            after = ()
            for i in tl.static_range(VECTOR):
                before = before + (lanes[i],)
                after = after + (lanes[i + 2],)
            before = _join_lanes(before, BLOCK, VECTOR)
            after = _join_lanes(after, BLOCK, VECTOR)
            tiles = tiles + (before, centre, after)
    else:
        for k in tl.static_range(KH * KW):
            tiles = tiles + (loaded[k].to(tl.float32),)
    return tiles


@triton.jit(do_not_specialize=["C", "D", "H", "GROUPS", "tiles_per_plane", "walks", "steps"])
def _convolve_kernel(
    x_ptr,
    weight_ptr,
    y_ptr,
    C,
    D,
    H,
    GROUPS,
    tiles_per_plane,
    walks,
    steps,
    KD: tl.constexpr,
    KH: tl.constexpr,
    KW: tl.constexpr,
    DD: tl.constexpr,
    DH: tl.constexpr,
    DW: tl.constexpr,
    FLIP: tl.constexpr,
    BLOCK: tl.constexpr,
    VECTOR: tl.constexpr,
    PREFETCH: tl.constexpr,
):
    """One tile, walked along D: ``y = conv(x, weight)``, with the weight mirrored on all axes if FLIP."""
    TAPS: tl.constexpr = KD * KH * KW
    HALF: tl.constexpr = KD // 2

    pid = tl.program_id(0)
    tile = pid % tiles_per_plane
    walk = (pid // tiles_per_plane) % walks
    volume = pid // tiles_per_plane // walks
    residue = walk % DD
    first = walk // DD * steps
    length = (D - residue + DD - 1) // DD
    stop = tl.minimum(steps, length - first)

    weights = ()
    weight_ptr += (volume % C) * TAPS
    for k in tl.static_range(TAPS):
        weights = weights + (tl.load(weight_ptr + (TAPS - 1 - k if FLIP else k)).to(tl.float32),)

    group = tile * BLOCK + tl.arange(0, BLOCK)
    inside = group < H * GROUPS
    offsets = group[:, None] * VECTOR + tl.arange(0, VECTOR)[None, :]
    plane_size = H * GROUPS * VECTOR
    start = (volume.to(tl.int64) * D + residue + DD * first) * plane_size
    x_ptr += start
    y_ptr += start
    stride = plane_size.to(tl.int64) * DD

    # Input plane n adds to the outputs n + HALF - kz; sums[kz] belongs to that output. Planes outside of the volume
    # would add nothing and are left out of the loop.
    sums = ()
    for _ in tl.static_range(KD):
        sums = sums + (tl.zeros([BLOCK, VECTOR], tl.float32),)
    begin = tl.maximum(-HALF, -first)
    end = tl.minimum(steps + HALF, length - first)
    if PREFETCH:
        waiting = _load_plane(x_ptr + begin * stride, group, inside & (begin < end), H, GROUPS, KH, KW, DH, DW, VECTOR)
    for n in range(begin, end):
        if PREFETCH:  # the next plane is on its way while this one is worked on
            loaded = waiting
            ahead = tl.minimum(n + 1, end - 1)
            waiting = _load_plane(x_ptr + ahead * stride, group, inside, H, GROUPS, KH, KW, DH, DW, VECTOR)
        else:
            loaded = _load_plane(x_ptr + n * stride, group, inside, H, GROUPS, KH, KW, DH, DW, VECTOR)
        tiles = _neighbours(loaded, KH, KW, DW, BLOCK, VECTOR)
        moved = (tl.zeros([BLOCK, VECTOR], tl.float32),)
        for kz in tl.static_range(KD):
            total = sums[kz]
            for k in tl.static_range(KH * KW):
                total += weights[kz * KH * KW + k] * tiles[k]
            if kz < KD - 1:
                moved = moved + (total,)
            else:  # no later plane adds to this output
                mask = (inside & (n >= HALF))[:, None]
                tl.store(y_ptr + (n - HALF) * stride + offsets, total.to(y_ptr.dtype.element_ty), mask=mask)
        sums = moved

    # At the end of the volume, the last outputs are complete without the planes behind it.
    for i in tl.static_range(HALF):
        n = end - HALF + i
        mask = (inside & (n >= 0) & (n < stop))[:, None]
        tl.store(y_ptr + n * stride + offsets, sums[KD - 1 - i].to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["B", "C", "D", "H", "GROUPS", "tiles_per_plane", "walks", "steps", "chunks"])
def _weight_gradient_kernel(
    x_ptr,
    grad_ptr,
    partial_ptr,
    B,
    C,
    D,
    H,
    GROUPS,
    tiles_per_plane,
    walks,
    steps,
    chunks,
    KD: tl.constexpr,
    KH: tl.constexpr,
    KW: tl.constexpr,
    DD: tl.constexpr,
    DH: tl.constexpr,
    DW: tl.constexpr,
    BLOCK: tl.constexpr,
    VECTOR: tl.constexpr,
    PREFETCH: tl.constexpr,
):
    """Sum ``grad * shifted x`` over a share of the walks of one channel into ``partial[chunk, channel, :]``."""
    TAPS: tl.constexpr = KD * KH * KW
    HALF: tl.constexpr = KD // 2

    chunk = tl.program_id(0) % chunks
    channel = tl.program_id(0) // chunks
    plane_size = H * GROUPS * VECTOR
    stride = plane_size.to(tl.int64) * DD
    lane = tl.arange(0, VECTOR)[None, :]

    sums = ()
    for _ in tl.static_range(TAPS):
        sums = sums + (tl.zeros([BLOCK], tl.float32),)

    # Neighbouring programs work on neighbouring tiles at the same time, which share rows in the L2 cache.
    for unit in range(chunk, B * walks * tiles_per_plane, chunks):
        tile = unit % tiles_per_plane
        walk = (unit // tiles_per_plane) % walks
        volume = (unit // tiles_per_plane // walks) * C + channel
        residue = walk % DD
        first = walk // DD * steps
        length = (D - residue + DD - 1) // DD
        stop = tl.minimum(steps, length - first)

        group = tile * BLOCK + tl.arange(0, BLOCK)
        inside = group < H * GROUPS
        offsets = group[:, None] * VECTOR + lane
        start = (volume.to(tl.int64) * D + residue + DD * first) * plane_size

        # Input plane n meets the gradient planes n + HALF - kz of this walk; grads[kz] holds that plane.
        begin = tl.maximum(-HALF, -first)
        end = tl.minimum(steps + HALF, length - first)
        grads = ()
        for kz in tl.static_range(KD - 1):
            n = begin + HALF - 1 - kz
            mask = (inside & (n >= 0) & (n < stop))[:, None]
            older = tl.load(grad_ptr + start + n * stride + offsets, mask=mask, other=0.0)
            grads = grads + (older.to(tl.float32),)
        x_start = x_ptr + start
        if PREFETCH:
            waiting = _load_plane(
                x_start + begin * stride, group, inside & (begin < end), H, GROUPS, KH, KW, DH, DW, VECTOR
            )
        for n in range(begin, end):
            mask = (inside & (n + HALF < stop))[:, None]
            newest = tl.load(grad_ptr + start + (n + HALF) * stride + offsets, mask=mask, other=0.0)
            if PREFETCH:  # the next plane is on its way while this one is worked on
                loaded = waiting
                ahead = tl.minimum(n + 1, end - 1)
                waiting = _load_plane(x_start + ahead * stride, group, inside, H, GROUPS, KH, KW, DH, DW, VECTOR)
            else:
                loaded = _load_plane(x_start + n * stride, group, inside, H, GROUPS, KH, KW, DH, DW, VECTOR)
            tiles = _neighbours(loaded, KH, KW, DW, BLOCK, VECTOR)
            current = (newest.to(tl.float32),) + grads
            tile_lanes = ()
            for k in tl.static_range(KH * KW):
                tile_lanes = tile_lanes + (_split_lanes(tiles[k], BLOCK, VECTOR),)
            updated = ()
            for kz in tl.static_range(KD):
                grad_lanes = _split_lanes(current[kz], BLOCK, VECTOR)
                for k in tl.static_range(KH * KW):
                    total = sums[kz * KH * KW + k]
                    for i in tl.static_range(VECTOR):
                        total += grad_lanes[i] * tile_lanes[k][i]
                    updated = updated + (total,)
            sums = updated
            kept = ()
            for kz in tl.static_range(KD - 1):
                kept = kept + (current[kz],)
            grads = kept

    partial_ptr += (chunk.to(tl.int64) * C + channel) * TAPS
    for k in tl.static_range(TAPS):
        tl.store(partial_ptr + k, tl.sum(sums[k], axis=0))


# ----------------------------------------------------------------------------------------------------------------------
# Launching
# ----------------------------------------------------------------------------------------------------------------------


class TileConfig(NamedTuple):
    """How the work is cut into programs.

    Attributes:
        block: Groups per tile, a power of two. ``32 * num_warps`` gives every thread one group, which is the layout
            the kernels are written for.
        vector: Neighbouring values along W per group: 1, 2, 4 or, for 16-bit types, 8. It must divide W.
        steps: Planes of one walk along D. A walk reads up to ``kernel_edge - 1`` planes more than this.
        num_warps: Warps per program.
        chunks: Programs per channel, each of which writes one partial sum. Used by the weight gradient only.
        prefetch: Whether a program loads the next plane while it works on the current one. Takes more registers.
    """

    block: int
    vector: int
    steps: int
    num_warps: int
    chunks: int = 1
    prefetch: bool = False


# (values per plane, vector, block): the first entry whose limit is not exceeded holds. The vector is halved until it
# divides W, and the block is cut to the plane.
_TILES = ((8192, 4, 128), (float("inf"), 8, 256))
_LARGEST_VECTOR = {2: 8, 4: 4}  # by bytes per value: 16 bytes are the widest load

# Programs to aim for, enough to fill the multiprocessors of a large device several times over.
_PROGRAMS = 4096
_FEWEST_STEPS = 4  # shorter walks read too many planes twice


def default_config(
    shape: Sequence[int], itemsize: int, dilation: Sequence[int], for_weight: bool = False
) -> TileConfig:
    """Choose a configuration.

    Args:
        shape: Shape of the input, (B, C, D, H, W), without empty axes.
        itemsize: Bytes per value.
        dilation: Dilation per axis.
        for_weight: Whether the configuration is for the weight gradient.

    Returns:
        The configuration.
    """
    batch, channels, depth, height, width = shape
    vector, block = next((vector, block) for limit, vector, block in _TILES if height * width <= limit)
    vector = min(vector, _LARGEST_VECTOR[itemsize])
    while width % vector:
        vector //= 2
    groups = height * (width // vector)
    block = min(block, max(triton.next_power_of_2(groups), 32))
    # Tiles to walk with full-length walks, and the pieces to cut these walks into.
    walks = batch * channels * triton.cdiv(groups, block) * min(dilation[0], depth)
    planes = triton.cdiv(depth, dilation[0])
    pieces = min(triton.cdiv(_PROGRAMS, walks), triton.cdiv(planes, _FEWEST_STEPS))
    steps = triton.cdiv(planes, pieces)
    chunks = 1
    if for_weight:
        chunks = min(triton.cdiv(_PROGRAMS, channels), walks // channels * triton.cdiv(planes, steps))
    return TileConfig(block, vector, steps, num_warps=block // 32, chunks=chunks)


def _on_device(tensor: Tensor) -> contextlib.AbstractContextManager:
    """Make the device of ``tensor`` the current one, where kernels are launched."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else contextlib.nullcontext()


def _check(x: Tensor, kernel_size: Sequence[int], dilation: Sequence[int]) -> None:
    """Refuse what the kernels do not support."""
    if x.ndim != 5:
        raise ValueError(f"Expected a tensor with 5 axes (B, C, D, H, W), got shape {tuple(x.shape)}.")
    if x.dtype not in _DTYPES:
        raise TypeError(f"Expected float16, bfloat16 or float32, got {x.dtype}.")
    if len(kernel_size) != 3 or any(edge < 1 or edge % 2 == 0 for edge in kernel_size):
        raise ValueError(f"Expected three odd kernel edges, got {tuple(kernel_size)}.")
    if len(dilation) != 3 or any(step < 1 for step in dilation):
        raise ValueError(f"Expected three dilations of at least 1, got {tuple(dilation)}.")


def _check_weight(x: Tensor, weight: Tensor) -> None:
    """Refuse a weight that does not belong to ``x``."""
    if weight.ndim != 5 or weight.shape[:2] != (x.shape[1], 1):
        raise ValueError(f"Expected a weight of shape ({x.shape[1]}, 1, kd, kh, kw), got {tuple(weight.shape)}.")
    if weight.dtype != x.dtype or weight.device != x.device:
        raise TypeError(
            f"Input ({x.dtype}, {x.device}) and weight ({weight.dtype}, {weight.device}) differ in dtype or device."
        )


def _geometry(x: Tensor, dilation: Sequence[int], config: TileConfig) -> tuple[int, int, int]:
    """Return groups per row, tiles per plane and walks per volume."""
    _, _, depth, height, width = x.shape
    if width % config.vector:
        raise ValueError(f"vector={config.vector} does not divide the width {width}.")
    if height * width >= 2**31 - 2**16:
        raise ValueError(f"A plane of {height} x {width} values is too large.")
    groups = width // config.vector
    tiles = triton.cdiv(height * groups, config.block)
    # Every residue gets as many walks as the longest one; a surplus walk finds nothing to do.
    walks = dilation[0] * triton.cdiv(triton.cdiv(depth, dilation[0]), config.steps)
    return groups, tiles, walks


def convolve(
    x: Tensor, weight: Tensor, dilation: Sequence[int], flip: bool = False, config: TileConfig | None = None
) -> Tensor:
    """Convolve without autograd.

    Args:
        x: Input of shape (B, C, D, H, W).
        weight: Weight of shape (C, 1, kd, kh, kw), in the dtype of ``x``.
        dilation: Dilation per axis.
        flip: Mirror the weight on all axes, which turns the convolution into its own adjoint (the input gradient).
        config: How to cut the work; the default depends on the shape.

    Returns:
        Output in the shape and dtype of ``x``, contiguous.
    """
    _check(x, weight.shape[2:], dilation)
    _check_weight(x, weight)
    x = x.contiguous()
    weight = weight.contiguous()
    y = torch.empty_like(x)
    if y.numel() == 0:
        return y
    config = config or default_config(x.shape, x.element_size(), dilation)
    groups, tiles, walks = _geometry(x, dilation, config)
    batch, channels, depth, height, _ = x.shape
    with _on_device(x):
        _convolve_kernel[(batch * channels * walks * tiles,)](
            x,
            weight,
            y,
            channels,
            depth,
            height,
            groups,
            tiles,
            walks,
            config.steps,
            *weight.shape[2:],
            *dilation,
            FLIP=flip,
            BLOCK=config.block,
            VECTOR=config.vector,
            PREFETCH=config.prefetch,
            num_warps=config.num_warps,
        )
    return y


def convolve_weight_gradient(
    grad: Tensor, x: Tensor, kernel_size: Sequence[int], dilation: Sequence[int], config: TileConfig | None = None
) -> Tensor:
    """Compute the gradient with respect to the weight, without autograd.

    Args:
        grad: Gradient with respect to the output, in the shape and dtype of ``x``.
        x: Input of shape (B, C, D, H, W).
        kernel_size: Kernel edges (kd, kh, kw).
        dilation: Dilation per axis.
        config: How to cut the work; the default depends on the shape.

    Returns:
        Gradient of shape (C, 1, kd, kh, kw) in the dtype of ``x``.
    """
    _check(x, kernel_size, dilation)
    if grad.shape != x.shape or grad.dtype != x.dtype or grad.device != x.device:
        raise ValueError("The gradient of the output must agree with the input in shape, dtype and device.")
    grad = grad.contiguous()
    x = x.contiguous()
    batch, channels, depth, height, _ = x.shape
    if x.numel() == 0:
        return x.new_zeros((channels, 1, *kernel_size))
    config = config or default_config(x.shape, x.element_size(), dilation, for_weight=True)
    groups, tiles, walks = _geometry(x, dilation, config)
    partial = x.new_empty((config.chunks, channels, 1, *kernel_size), dtype=torch.float32)
    with _on_device(x):
        _weight_gradient_kernel[(channels * config.chunks,)](
            x,
            grad,
            partial,
            batch,
            channels,
            depth,
            height,
            groups,
            tiles,
            walks,
            config.steps,
            config.chunks,
            *kernel_size,
            *dilation,
            BLOCK=config.block,
            VECTOR=config.vector,
            PREFETCH=config.prefetch,
            num_warps=config.num_warps,
        )
    return partial.sum(0).to(x.dtype)


# ----------------------------------------------------------------------------------------------------------------------
# Operators
# ----------------------------------------------------------------------------------------------------------------------


@torch.library.custom_op(
    "eas_dw::forward", mutates_args=(), schema="(Tensor x, Tensor weight, int[] dilation) -> Tensor"
)
def _forward_op(x: Tensor, weight: Tensor, dilation: Sequence[int]) -> Tensor:
    return convolve(x, weight, dilation)


@torch.library.custom_op(
    "eas_dw::input_gradient", mutates_args=(), schema="(Tensor grad, Tensor weight, int[] dilation) -> Tensor"
)
def _input_gradient_op(grad: Tensor, weight: Tensor, dilation: Sequence[int]) -> Tensor:
    return convolve(grad, weight, dilation, flip=True)


@torch.library.custom_op(
    "eas_dw::weight_gradient",
    mutates_args=(),
    schema="(Tensor grad, Tensor x, int[] kernel_size, int[] dilation) -> Tensor",
)
def _weight_gradient_op(grad: Tensor, x: Tensor, kernel_size: Sequence[int], dilation: Sequence[int]) -> Tensor:
    return convolve_weight_gradient(grad, x, kernel_size, dilation)


@_forward_op.register_fake
def _(x: Tensor, weight: Tensor, dilation: Sequence[int]) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@_input_gradient_op.register_fake
def _(grad: Tensor, weight: Tensor, dilation: Sequence[int]) -> Tensor:
    return torch.empty_like(grad, memory_format=torch.contiguous_format)


@_weight_gradient_op.register_fake
def _(grad: Tensor, x: Tensor, kernel_size: Sequence[int], dilation: Sequence[int]) -> Tensor:
    return x.new_empty((x.shape[1], 1, *kernel_size))


def _setup_context(ctx, inputs: tuple, output: Tensor) -> None:
    x, weight, dilation = inputs
    ctx.save_for_backward(x, weight)
    ctx.dilation = dilation


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    x, weight = ctx.saved_tensors
    grad_x = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_x = _input_gradient_op(grad, weight, ctx.dilation)
    if ctx.needs_input_grad[1]:
        grad_weight = _weight_gradient_op(grad, x, weight.shape[2:], ctx.dilation)
    return grad_x, grad_weight, None


_forward_op.register_autograd(_backward, setup_context=_setup_context)


def depthwise_conv3d(x: Tensor, weight: Tensor, dilation: int | Sequence[int] = 1, bias: None = None) -> Tensor:
    """Depthwise 3-D convolution that keeps the size, with gradients.

    Agrees with ``torch.nn.functional.conv3d`` for ``groups == channels``, stride 1 and padding
    ``dilation * (kernel_edge // 2)``. Under autocast, both tensors are cast to the autocast dtype.

    Args:
        x: Input of shape (B, C, D, H, W).
        weight: Weight of shape (C, 1, kd, kh, kw) with odd edges.
        dilation: Dilation, one for all axes or one per axis.
        bias: Must be None.

    Returns:
        Output in the shape of ``x``.
    """
    if bias is not None:
        raise NotImplementedError("depthwise_conv3d has no bias.")
    dilation = [dilation] * 3 if isinstance(dilation, int) else list(dilation)
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x = x.to(dtype)
        weight = weight.to(dtype)
    return _forward_op(x.contiguous(), weight.contiguous(), dilation)

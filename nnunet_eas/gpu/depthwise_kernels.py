"""Triton kernels of a depthwise 3-D convolution: one filter a channel, stride 1, odd kernel edges, the size is kept.

A depthwise convolution does little arithmetic for each value, so that its time is set by memory traffic and by the
number of loads. Tensors are contiguous, (B, C, D, H, W), in float16, bfloat16 or float32; sums are in float32.

- A program works on consecutive values of one H x W plane, whatever the row's length.
- It walks along D with them. Each plane is loaded once a walk and added to all outputs that need it, which stay in
  registers. With a dilation along D, a walk visits every `dilation`-th plane.
- A thread holds neighbouring values along W: those shifted by one are put together from registers and one load.

Nothing is added atomically, so that results are reproducible. `depthwise_operators` starts the kernels.
"""

from __future__ import annotations

import triton
import triton.language as tl

# A tile has the shape [BLOCK, VECTOR]: a row is a group of VECTOR neighbours along W, and GROUPS groups make a row of
# the volume. That W is a multiple of VECTOR tells the compiler how addresses are aligned. A walk covers the planes
# `residue + DD * (first + n)` for n = 0, 1, ..., where DD is the dilation along D and `residue` is below it. Sizes are
# not specialised: one compiled kernel serves all shapes.


@triton.jit
def _split_lanes(tile, BLOCK: tl.constexpr, VECTOR: tl.constexpr):
    """The VECTOR columns of a tile, each [BLOCK], without leaving registers."""
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
    """The tile of these columns."""
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
    """The KH * KW tensors of one plane that `_neighbours` needs, zero outside the plane."""
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
        if (KW == 3 and DW == 1) and VECTOR > 1:
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
    """The KH * KW shifted tiles in float32, of what `_load_plane` gives."""
    tiles = ()
    if (KW == 3 and DW == 1) and VECTOR > 1:
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
def convolve_kernel(
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
):
    """One walk of a tile: y = conv(x, weight), with the weight mirrored along all axes where FLIP."""
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

    # Input plane n adds to the outputs n + HALF - kz; sums[kz] belongs to that output. Planes outside the volume
    # would add nothing and are left out.
    sums = ()
    for _ in tl.static_range(KD):
        sums = sums + (tl.zeros([BLOCK, VECTOR], tl.float32),)
    begin = tl.maximum(-HALF, -first)
    end = tl.minimum(steps + HALF, length - first)
    for n in range(begin, end):
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
def weight_gradient_kernel(
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
):
    """The sum of grad * shifted x over a share of the walks of one channel, in partial[chunk, channel, :]."""
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
        for n in range(begin, end):
            mask = (inside & (n + HALF < stop))[:, None]
            newest = tl.load(grad_ptr + start + (n + HALF) * stride + offsets, mask=mask, other=0.0)
            plane_ptr = x_ptr + start + n * stride
            loaded = _load_plane(plane_ptr, group, inside, H, GROUPS, KH, KW, DH, DW, VECTOR)
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

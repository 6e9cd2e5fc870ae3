"""The kernels for NVIDIA GPUs, in Triton's language; the modules beside this one call them.

Maps are in channels-last order: (N, H, W, C) without gaps. A "pixel" is a number in N * H * W. Sums and
positions are float32, whatever the type of the maps. Where there is no GPU they run in Triton's interpreter
(TRITON_INTERPRET=1, before Triton is imported).
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "best_peaks",
    "convolve_exactly",
    "deform",
    "finish",
    "local_peaks",
    "raise_and_add",
    "sum_parts",
]


@triton.jit
def convolve_exactly(
    maps, high, low, out, pixels, height, width, inputs, taps,
    SIDE: tl.constexpr, SPLIT: tl.constexpr, COLUMNS: tl.constexpr,
    PIXELS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    """Convolve by SIDE x SIDE weights that are `high` + `low`, (SIDE * SIDE * inputs, COLUMNS) each.

    `out` is (parts, pixels, COLUMNS) float32: a program sums over `taps` taps, SPLIT of those that there are.
    """
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    there = pixel < pixels
    column, row = pixel % width, (pixel // width) % height
    channel, outputs = tl.arange(0, INPUTS), tl.arange(0, COLUMNS)
    total = tl.full((PIXELS, COLUMNS), 0.0, tl.float32)
    part = tl.program_id(1)
    for tap in range(part * taps, part * taps + taps):
        down, right = tap // SIDE - SIDE // 2, tap % SIDE - SIDE // 2
        y, x = row + down, column + right
        inside = there & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        at = maps + (pixel + down * width + right).to(tl.int64) * inputs
        for first in range(0, inputs, INPUTS):
            known = first + channel < inputs
            read = tl.load(
                at[:, None] + (first + channel)[None, :], mask=inside[:, None] & known[None, :], other=0.0
            )
            place = (tap * inputs + first + channel)[:, None] * COLUMNS + outputs[None, :]
            total = tl.dot(
                read, tl.load(high + place, mask=known[:, None], other=0.0), total, input_precision="ieee"
            )
            if SPLIT:
                total = tl.dot(
                    read, tl.load(low + place, mask=known[:, None], other=0.0), total, input_precision="ieee"
                )
    place = (part * pixels + pixel).to(tl.int64)[:, None] * COLUMNS + outputs[None, :]
    tl.store(out + place, total, mask=there[:, None])


@triton.jit
def deform(
    maps, moves, moves_bias, weight, bias, out, pixels, height, width, inputs, outputs, parts,
    COLUMNS: tl.constexpr, RELU: tl.constexpr, WHOLE: tl.constexpr,
    TAPS: tl.constexpr, PIXELS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    """Sample each tap where `moves` says, and multiply by the weights (9 * inputs, outputs).

    `moves` is (parts, pixels, COLUMNS) float32, the sums of the convolution that gives (dy, dx) of each tap
    and the masks before their sigmoid, without `moves_bias`. Outside the maps is 0. WHOLE: `out` is
    (pixels, outputs), with bias and ReLU. Otherwise it is (9 / TAPS, pixels, outputs) float32, a sum over
    TAPS taps each.
    """
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    there = pixel < pixels
    column, row = pixel % width, (pixel // width) % height
    image = pixel - column - row * width
    channel = tl.arange(0, INPUTS)
    output = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    wanted = output < outputs
    total = tl.full((PIXELS, OUTPUTS), 0.0, tl.float32)
    part = tl.program_id(2)
    for tap in range(part * TAPS, part * TAPS + TAPS):
        y = (row + tap // 3 - 1).to(tl.float32) + tl.load(moves_bias + 2 * tap)
        x = (column + tap % 3 - 1).to(tl.float32) + tl.load(moves_bias + 2 * tap + 1)
        logit = tl.full((PIXELS,), 0.0, tl.float32) + tl.load(moves_bias + 18 + tap)
        for each in range(parts):
            move = moves + (each * pixels + pixel).to(tl.int64) * COLUMNS
            y += tl.load(move + 2 * tap, mask=there, other=0.0)
            x += tl.load(move + 2 * tap + 1, mask=there, other=0.0)
            logit += tl.load(move + 18 + tap, mask=there, other=0.0)
        # far outside one place is as good as another, and an integer cannot hold every number
        y = tl.minimum(tl.maximum(y, -2.0), height + 1.0)
        x = tl.minimum(tl.maximum(x, -2.0), width + 1.0)
        top, left = tl.floor(y), tl.floor(x)
        under, beside = y - top, x - left
        mask = 1.0 / (1.0 + tl.exp(-logit))
        top_row, left_column = top.to(tl.int32), left.to(tl.int32)
        at = maps + (image + top_row * width + left_column).to(tl.int64) * inputs
        above, below = (top_row >= 0) & (top_row < height), (top_row >= -1) & (top_row < height - 1)
        first_in = (left_column >= 0) & (left_column < width)
        next_in = (left_column >= -1) & (left_column < width - 1)
        share_a = (1.0 - under) * (1.0 - beside) * mask
        share_b = (1.0 - under) * beside * mask
        share_c = under * (1.0 - beside) * mask
        share_d = under * beside * mask
        read_a, read_b = there & above & first_in, there & above & next_in
        read_c, read_d = there & below & first_in, there & below & next_in
        for first in range(0, inputs, INPUTS):
            known = (first + channel < inputs)[None, :]
            near = at[:, None] + (first + channel)[None, :]
            a = tl.load(near, mask=read_a[:, None] & known, other=0.0).to(tl.float32)
            b = tl.load(near + inputs, mask=read_b[:, None] & known, other=0.0).to(tl.float32)
            c = tl.load(near + width * inputs, mask=read_c[:, None] & known, other=0.0).to(tl.float32)
            d = tl.load(near + (width + 1) * inputs, mask=read_d[:, None] & known, other=0.0).to(tl.float32)
            sampled = (
                a * share_a[:, None] + b * share_b[:, None] + c * share_c[:, None] + d * share_d[:, None]
            )
            place = (tap * inputs + first + channel)[:, None] * outputs + output[None, :]
            products = tl.load(
                weight + place, mask=(first + channel < inputs)[:, None] & wanted[None, :], other=0.0
            )
            total = tl.dot(sampled.to(weight.dtype.element_ty), products, total, input_precision="ieee")
    if WHOLE:
        total += tl.load(bias + output, mask=wanted, other=0.0)[None, :]
        if RELU:
            total = tl.maximum(total, 0.0)
    place = (part * pixels + pixel).to(tl.int64)[:, None] * outputs + output[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=there[:, None] & wanted[None, :])


@triton.jit
def sum_parts(
    parts, bias, out, numbers, outputs, PARTS: tl.constexpr, RELU: tl.constexpr, NUMBERS: tl.constexpr
):
    """Add `parts` (PARTS, numbers) float32 and the bias of each channel; `out` has channels last."""
    number = tl.program_id(0).to(tl.int64) * NUMBERS + tl.arange(0, NUMBERS)
    there = number < numbers
    total = tl.load(bias + number % outputs, mask=there, other=0.0)
    for each in range(PARTS):
        total += tl.load(parts + each * numbers.to(tl.int64) + number, mask=there, other=0.0)
    if RELU:
        total = tl.maximum(total, 0.0)
    tl.store(out + number, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def finish(
    maps, bias, other, out, numbers, channels, least, most,
    ADDS: tl.constexpr, BOUNDED: tl.constexpr, NUMBERS: tl.constexpr,
):  # fmt: skip
    """Add the bias of each channel to `maps`, and `other` where ADDS; BOUNDED: keep to `least` and `most`."""
    number = tl.program_id(0).to(tl.int64) * NUMBERS + tl.arange(0, NUMBERS)
    there = number < numbers
    total = tl.load(maps + number, mask=there, other=0.0).to(tl.float32)
    total += tl.load(bias + number % channels, mask=there, other=0.0)
    if ADDS:
        total += tl.load(other + number, mask=there, other=0.0).to(tl.float32)
    if BOUNDED:
        total = tl.minimum(tl.maximum(total, least), most)
    tl.store(out + number, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def raise_and_add(
    maps, weight, other, out, numbers, height, width, channels, FACTOR: tl.constexpr, NUMBERS: tl.constexpr
):
    """Up-sample each channel by its own weights (2 FACTOR, 2 FACTOR, channels), and add `other`.

    `height`, `width` are those of the result; every value of it has four of `maps` under it.
    """
    number = tl.program_id(0).to(tl.int64) * NUMBERS + tl.arange(0, NUMBERS)
    there = number < numbers
    channel, pixel = number % channels, number // channels
    column, row = pixel % width, (pixel // width) % height
    low_height, low_width = height // FACTOR, width // FACTOR
    first = (pixel // (width * height)) * low_height * low_width
    total = tl.load(other + number, mask=there, other=0.0).to(tl.float32)
    for corner in range(4):
        y = (row + FACTOR // 2) // FACTOR - corner // 2
        x = (column + FACTOR // 2) // FACTOR - corner % 2
        inside = there & (y >= 0) & (y < low_height) & (x >= 0) & (x < low_width)
        down = row + FACTOR // 2 - y * FACTOR
        right = column + FACTOR // 2 - x * FACTOR
        value = tl.load(maps + (first + y * low_width + x) * channels + channel, mask=inside, other=0.0)
        share = tl.load(weight + (down * 2 * FACTOR + right) * channels + channel, mask=inside, other=0.0)
        total += value.to(tl.float32) * share
    tl.store(out + number, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def _strongest(value, there, K: tl.constexpr):
    """Return which K of the values are the largest, of equal ones the first, and their places among those.

    The K-th largest is found bit by bit, in an order of integers that is that of the floats.
    """
    bits = value.to(tl.int32, bitcast=True)
    order = tl.where(there, tl.where(bits >= 0, bits, bits ^ 0x7FFFFFFF), -0x7FFFFFFF)
    some = tl.sum((order >= 0).to(tl.int32), 0) >= K
    limit = tl.where(some, 0, -0x7FFFFFFF - 1)  # the largest limit known to be reached by K values
    for step in range(31):
        tried = limit + (1 << (30 - step))
        limit = tl.where(tl.sum((order >= tried).to(tl.int32), 0) >= K, tried, limit)
    above, equal = order > limit, order == limit
    free = K - tl.sum(above.to(tl.int32), 0)
    kept = above | (equal & (tl.cumsum(equal.to(tl.int32), 0) <= free))
    return kept, tl.cumsum(kept.to(tl.int32), 0) - 1


@triton.jit
def local_peaks(
    heat, bias, score, cell, height, width, channels, columns,
    K: tl.constexpr, CELLS: tl.constexpr, BELOW: tl.constexpr,
):  # fmt: skip
    """Find the K strongest 3x3 maxima among CELLS cells of one channel of one image, in row-major order.

    `heat` is (N, height, width, columns) float32, logits without `bias`; `score` and `cell` are
    (N, channels, height * width / CELLS, K). What is no maximum is BELOW, and what is outside is less.
    """
    program, chunk = tl.program_id(0), tl.program_id(1)
    image, channel = (program // channels).to(tl.int64), program % channels
    number = chunk * CELLS + tl.arange(0, CELLS)
    there = number < height * width
    row, column = number // width, number % width
    at = heat + (image * height * width + number) * columns + channel
    value = tl.load(at, mask=there, other=-float("inf"))
    strongest = value
    for near in range(9):
        y, x = row + near // 3 - 1, column + near % 3 - 1
        inside = there & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        step = ((near // 3 - 1) * width + near % 3 - 1) * columns
        strongest = tl.maximum(strongest, tl.load(at + step, mask=inside, other=-float("inf")))
    shift = tl.load(bias + channel)  # as in the sum that is compared elsewhere: rounding keeps the order
    value = tl.where(value + shift == strongest + shift, value + shift, BELOW)
    value = tl.where(there, value, -float("inf"))
    kept, place = _strongest(value, there, K)
    first = (program.to(tl.int64) * tl.num_programs(1) + chunk) * K
    tl.store(score + first + place, value, mask=kept)
    tl.store(cell + first + place, number, mask=kept)


@triton.jit
def best_peaks(
    found, where, score, cell, count,
    K: tl.constexpr, ROOM: tl.constexpr, CANDIDATES: tl.constexpr,
):  # fmt: skip
    """Sort the K strongest of `count` candidates of one map, strongest first, of equal ones the first.

    `found` are logits and `where` cells, (maps, count); `score` is probabilities and `cell` int64, (maps, K).
    ROOM and CANDIDATES: powers of two, at least K and `count`.
    """
    program = tl.program_id(0).to(tl.int64)
    number = tl.arange(0, CANDIDATES)
    there = number < count
    value = tl.load(found + program * count + number, mask=there, other=-float("inf"))
    at = tl.load(where + program * count + number, mask=there, other=0)
    kept, place = _strongest(value, there, K)
    first = program * K
    tl.store(score + first + place, value, mask=kept)
    tl.store(cell + first + place, at.to(tl.int64), mask=kept)
    tl.debug_barrier()  # the program's own results are read again
    slot = tl.arange(0, ROOM)
    used = slot < K
    logit = tl.load(score + first + slot, mask=used, other=-float("inf"))
    at_cell = tl.load(cell + first + slot, mask=used, other=0)
    tl.debug_barrier()
    earlier = (logit[None, :] == logit[:, None]) & (slot[None, :] < slot[:, None])
    better = ((logit[None, :] > logit[:, None]) | earlier) & used[None, :]
    rank = tl.sum(better.to(tl.int32), 1)
    tl.store(score + first + rank, 1.0 / (1.0 + tl.exp(-logit)), mask=used)
    tl.store(cell + first + rank, at_cell, mask=used)

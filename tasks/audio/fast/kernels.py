"""The passes of the denoiser and of the features, compiled; `spectral` and `features` say plainly what each computes.

Spectra come as real and imaginary parts, (frame, bin) float32 each, contiguous. A row is 2 KB: what one loop leaves of
it in the first-level cache the next one finds there. Loops run over slices: an index that is a sum might be negative,
as far as the compiler knows, and the loop would not be vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.audio.fast.compiled import compiled, part

Floats = npt.NDArray[np.float32]
Facts = npt.NDArray[np.float64]
Bools = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Pair = tuple[np.float32, np.float32]
Spectra = tuple[Floats, Floats]

_ONE, _HALF = np.float32(1), np.float32(0.5)
_SMALLEST, _SMALLEST_POWER = np.float32(np.finfo(np.float32).tiny), np.float32(1e-10)
_ROLLOFF = 0.85
_PER_LN_2, _LARGEST_EXPONENT = np.float32(1 / np.log(2)), np.float32(125)
# 2**x for x within a half of 0, to 2e-7: minimax in the last terms, Taylor in the first.
_P2, _P3, _P4, _P5, _P6 = (np.float32(p) for p in (0.24022651, 0.05550411, 0.00961813, 0.00133336, 0.00015403))
_P1 = np.float32(np.log(2))


@compiled
def average_forwards(re: Floats, im: Floats, decay: np.float32, state: Floats, average: Floats) -> None:
    """Fills `average` with the forward half of `spectral.running_average` of the magnitudes; state moves on to the end.

    state: (bin,), the average one frame before.
    """
    share = _ONE - decay
    for row in range(len(re)):
        x, y, out = re[row], im[row], average[row]
        for k in range(state.size):
            magnitude = np.sqrt(x[k] * x[k] + y[k] * y[k])
            state[k] += share * (magnitude - state[k])
            out[k] = state[k]


@compiled
def cells_kept(spectra: Spectra, average: Floats, decay: np.float32, state: Floats, sigmoid: Pair) -> None:
    """Turns the forward average into `spectral.cells_kept` of the whole one, from the last frame to the first.

    spectra: real and imaginary parts.  state: (bin,), the backward average one frame after; moves on to the beginning.
    sigmoid: slope, and the height above the average, in averages, at which half of a cell is kept.
    """
    share, (re, im), (slope, threshold) = _ONE - decay, spectra, sigmoid
    per_average, offset = slope * _PER_LN_2, slope * (_ONE + threshold) * _PER_LN_2
    exponent = np.empty_like(state)
    for row in range(len(re) - 1, -1, -1):
        x, y, cells = re[row], im[row], average[row]
        for k in range(state.size):  # three loops are vectorised, one would not be
            state[k] += share * (cells[k] - state[k])
        for k in range(state.size):
            exponent[k] = offset - per_average * np.sqrt(x[k] * x[k] + y[k] * y[k]) / max(state[k], _SMALLEST)
        for k in range(state.size):
            cells[k] = _ONE / (_ONE + _two_to_the(exponent[k]))


@part
def _two_to_the(exponent: np.float32) -> Any:
    """2**exponent, within 3e-7 of it; beyond ±125 as at ±125."""
    held = min(max(exponent, -_LARGEST_EXPONENT), _LARGEST_EXPONENT)
    whole = np.floor(held + _HALF)
    x = held - whole
    fine = _ONE + x * (_P1 + x * (_P2 + x * (_P3 + x * (_P4 + x * (_P5 + x * _P6)))))
    return fine * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled
def smoothed(mask: Floats, over_frames: Floats, over_bins: Floats, out: Floats) -> None:
    """Fills `out`, (frame, bin), with weighted means of neighbours: `spectral.triangles` along both axes.

    mask: (frames of out + twice the frames reached, bin).  over_frames, over_bins: the weights of `gating.triangle`.
    Beyond the first and the last bin the mask counts as zero.
    """
    n_bins, reach, far = mask.shape[1], len(over_frames) - 1, len(over_bins) - 1
    line = np.zeros(n_bins + 2 * far, np.float32)
    middle = line[far : far + n_bins]
    for row in range(len(out)):
        centre, sums = mask[row + reach], out[row]
        for k in range(n_bins):
            middle[k] = over_frames[0] * centre[k]
        for j in range(1, reach, 3):
            _add_rows(mask, row + reach, j, over_frames, middle)
        for k in range(n_bins):
            sums[k] = over_bins[0] * middle[k]
        for j in range(1, far, 3):
            _add_shifted(line, far, j, over_bins, sums)


@part
def _add_rows(cells: Floats, row: int, first: int, weights: Floats, out: Floats) -> None:
    """Adds the rows `first`, `first` + 1 and `first` + 2 above and below, weighted: three at once spare loads."""
    u, v, w = weights[first], weights[first + 1], weights[first + 2]
    for k in range(out.size):
        near = u * (cells[row - first, k] + cells[row + first, k])
        far = v * (cells[row - first - 1, k] + cells[row + first + 1, k])
        out[k] += near + far + w * (cells[row - first - 2, k] + cells[row + first + 2, k])


@part
def _add_shifted(line: Floats, middle: int, first: int, weights: Floats, out: Floats) -> None:
    """The same along a line; an index without sign is never counted from the end, and needs no check for that."""
    u, v, w = weights[first], weights[first + 1], weights[first + 2]
    a, b, c = np.uintp(middle - first), np.uintp(middle - first - 1), np.uintp(middle - first - 2)
    d, e, f = np.uintp(middle + first), np.uintp(middle + first + 1), np.uintp(middle + first + 2)
    for index in range(out.size):
        k = np.uintp(index)
        near, far = u * (line[a + k] + line[d + k]), v * (line[b + k] + line[e + k])
        out[k] += near + far + w * (line[c + k] + line[f + k])


@compiled
def shape(re: Floats, im: Floats, floor: np.float32, power: Floats, facts: Facts) -> None:
    """Fills (frame, bin) power of magnitudes raised by `floor`, and (frame, 6) facts of each frame.

    The facts are the sums of the magnitudes, of the magnitudes times their bin, and times its square; the bin in
    which 0.85 of their sum is reached; the sum of power, and that of its logarithm; power of at least 1e-10.
    """
    n_bins = re.shape[1]
    magnitude = np.empty(n_bins, np.float32)
    for row in range(len(re)):
        x, y, squares = re[row], im[row], power[row]
        for k in range(n_bins):
            magnitude[k] = np.sqrt(x[k] * x[k] + y[k] * y[k]) + floor
            squares[k] = magnitude[k] * magnitude[k]
        total, first, second = 0.0, 0.0, 0.0
        for k in range(n_bins):  # in float32 the bandwidth of a pure tone would be lost
            value = np.float64(magnitude[k])
            total += value
            first += value * k
            second += value * (k * k)
        facts[row, 0], facts[row, 1], facts[row, 2] = total, first, second
        facts[row, 3] = _reached(magnitude, _ROLLOFF * total)
        facts[row, 4], facts[row, 5] = _sum_and_log(squares)


@part
def _reached(magnitude: Floats, share: float) -> int:
    """The first bin up to which the sum is at least `share`: found by sums of 32, then one by one."""
    below, k = 0.0, 0
    while k + 32 <= magnitude.size:
        block = magnitude[k : k + 32]
        total = 0.0
        for j in range(32):
            total += np.float64(block[j])
        if below + total >= share:
            break
        below += total
        k += 32
    while k < magnitude.size - 1:
        below += magnitude[k]
        if below >= share:
            break
        k += 1
    return k


@part
def _sum_and_log(power: Floats) -> tuple[float, float]:
    """The sum of power, and that of its natural logarithm: of the product of mantissas, and the sum of exponents."""
    total, exponents, mantissas = np.float32(0), np.int32(0), np.float64(1)
    for low in range(0, power.size, 64):  # a product of 64 stays inside float32, one of 1,023 inside float64
        part = power[low : low + 64]
        product = np.float32(1)
        for k in range(part.size):
            value = max(part[k], _SMALLEST_POWER)
            bits = np.float32(value).view(np.int32)
            total += value
            exponents += (bits >> np.int32(23)) - np.int32(127)
            product *= np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
        mantissas *= np.float64(product)
        if mantissas > 1e280:
            exponents += np.int32(930)
            mantissas *= 2.0**-930
    return float(total), np.log(mantissas) + exponents * np.log(2.0)


@compiled
def powers(re: Floats, im: Floats, power: Floats) -> None:
    """Fills `power` with re**2 + im**2, all (frame, bin)."""
    for row in range(len(re)):
        x, y, squares = re[row], im[row], power[row]
        for k in range(x.size):
            squares[k] = x[k] * x[k] + y[k] * y[k]


@compiled
def crossings(is_negative: Bools, n_frame: int, hop_samples: int, counts: Counts) -> None:
    """Fills `counts` with how often neighbours differ inside each frame; frame f is centred on f * hop_samples."""
    for row in range(counts.size):
        low = max(0, row * hop_samples - n_frame // 2)
        high = min(is_negative.size, row * hop_samples + n_frame - n_frame // 2)
        before, after = is_negative[low : high - 1], is_negative[low + 1 : high]
        total = 0
        for k in range(before.size):
            total += before[k] ^ after[k]
        counts[row] = total

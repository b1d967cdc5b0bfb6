"""Compiled loops of the denoiser and of the features. `spectral` and `features` hold the reference implementations.

Spectra are given as real and imaginary parts, each (frame, bin) float32 and contiguous. A row takes 2 KB, so that
consecutive loops over one row work in the L1 cache. Loops run over slices: the compiler cannot prove that a computed
index is not negative, and would not vectorise the loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.audio.fast.compiled import compiled, part

Floats = npt.NDArray[np.float32]
Statistics = npt.NDArray[np.float64]
Bools = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Pair = tuple[np.float32, np.float32]
Spectra = tuple[Floats, Floats]

_ONE, _HALF = np.float32(1), np.float32(0.5)
_SMALLEST, _SMALLEST_POWER = np.float32(np.finfo(np.float32).tiny), np.float32(1e-10)
_ROLLOFF = 0.85
_PER_LN_2, _LARGEST_EXPONENT = np.float32(1 / np.log(2)), np.float32(125)
# Coefficients of 2**x for |x| <= 0.5, accurate to 2e-7: minimax for the last terms, Taylor for the first.
_P2, _P3, _P4, _P5, _P6 = (np.float32(p) for p in (0.24022651, 0.05550411, 0.00961813, 0.00133336, 0.00015403))
_P1 = np.float32(np.log(2))


@compiled
def average_forwards(re: Floats, im: Floats, decay: np.float32, state: Floats, average: Floats) -> None:
    """Fill `average`, (frame, bin), with the forward pass of `spectral.running_average`.

    state: (bin,), on entry the average of the frame before the first one, on return that of the last frame.
    """
    share = _ONE - decay
    for row in range(len(re)):
        x, y, out = re[row], im[row], average[row]
        for k in range(state.size):
            magnitude = np.sqrt(x[k] * x[k] + y[k] * y[k])
            state[k] += share * (magnitude - state[k])
            out[k] = state[k]


@compiled
def fill_mask(spectra: Spectra, average: Floats, decay: np.float32, state: Floats, sigmoid: Pair) -> None:
    """Run the backward pass of the running average, and replace `average` by the mask of `spectral.gate_mask`.

    spectra: real and imaginary parts.  average: (frame, bin), on entry the forward average, on return the mask.
    state: (bin,), on entry the backward average of the frame after the last one, on return that of the first frame.
    sigmoid: slope and threshold of the denoiser's settings.
    """
    share, (re, im), (slope, threshold) = _ONE - decay, spectra, sigmoid
    per_average, offset = slope * _PER_LN_2, slope * (_ONE + threshold) * _PER_LN_2
    exponent = np.empty_like(state)
    for row in range(len(re) - 1, -1, -1):
        x, y, cells = re[row], im[row], average[row]
        for k in range(state.size):  # LLVM vectorises three loops, but not one loop that does all
            state[k] += share * (cells[k] - state[k])
        for k in range(state.size):
            exponent[k] = offset - per_average * np.sqrt(x[k] * x[k] + y[k] * y[k]) / max(state[k], _SMALLEST)
        for k in range(state.size):
            cells[k] = _ONE / (_ONE + _two_to_the(exponent[k]))


@part
def _two_to_the(exponent: np.float32) -> Any:
    """Return 2**exponent with a relative error below 3e-7; the exponent is clipped to ±125."""
    held = min(max(exponent, -_LARGEST_EXPONENT), _LARGEST_EXPONENT)
    whole = np.floor(held + _HALF)
    x = held - whole
    fine = _ONE + x * (_P1 + x * (_P2 + x * (_P3 + x * (_P4 + x * (_P5 + x * _P6)))))
    return fine * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled
def smooth_mask(mask: Floats, over_frames: Floats, over_bins: Floats, out: Floats) -> None:
    """Fill `out`, (frame, bin), with `spectral.triangular_mean` of the mask along both axes.

    mask: (frame + 2 * reach, bin), with `reach` extra frames on each side, reach = len(over_frames) - 1.
    over_frames, over_bins: half windows from `gating.triangle`.  Outside the bins the mask counts as zero.
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
    """Add the weighted rows at distance `first` to `first` + 2, above and below; three at once need fewer loads."""
    u, v, w = weights[first], weights[first + 1], weights[first + 2]
    for k in range(out.size):
        near = u * (cells[row - first, k] + cells[row + first, k])
        far = v * (cells[row - first - 1, k] + cells[row + first + 1, k])
        out[k] += near + far + w * (cells[row - first - 2, k] + cells[row + first + 2, k])


@part
def _add_shifted(line: Floats, middle: int, first: int, weights: Floats, out: Floats) -> None:
    """Do the same along a line. Unsigned indices avoid the check for negative ones, which count from the end."""
    u, v, w = weights[first], weights[first + 1], weights[first + 2]
    a, b, c = np.uintp(middle - first), np.uintp(middle - first - 1), np.uintp(middle - first - 2)
    d, e, f = np.uintp(middle + first), np.uintp(middle + first + 1), np.uintp(middle + first + 2)
    for index in range(out.size):
        k = np.uintp(index)
        near, far = u * (line[a + k] + line[d + k]), v * (line[b + k] + line[e + k])
        out[k] += near + far + w * (line[c + k] + line[f + k])


@compiled
def frame_statistics(re: Floats, im: Floats, floor: np.float32, power: Floats, statistics: Statistics) -> None:
    """Fill `power`, (frame, bin), with (magnitude + floor)**2, and `statistics`, (frame, 6).

    The columns of `statistics`, with m = magnitude + floor and k = bin:
    0 to 2: sum(m), sum(m * k), sum(m * k**2);  3: the first bin at which the cumulative sum of m reaches 85 %;
    4, 5: sum(p) and sum(ln(p)), with p = max(m**2, 1e-10).
    """
    n_bins = re.shape[1]
    magnitude = np.empty(n_bins, np.float32)
    for row in range(len(re)):
        x, y, squares = re[row], im[row], power[row]
        for k in range(n_bins):
            magnitude[k] = np.sqrt(x[k] * x[k] + y[k] * y[k]) + floor
            squares[k] = magnitude[k] * magnitude[k]
        total, first, second = 0.0, 0.0, 0.0
        for k in range(n_bins):  # float64, because float32 sums lose the bandwidth of a pure tone
            value = np.float64(magnitude[k])
            total += value
            first += value * k
            second += value * (k * k)
        statistics[row, 0], statistics[row, 1], statistics[row, 2] = total, first, second
        statistics[row, 3] = _bin_reaching(magnitude, _ROLLOFF * total)
        statistics[row, 4], statistics[row, 5] = _sum_and_log(squares)


@part
def _bin_reaching(magnitude: Floats, share: float) -> int:
    """Return the first bin at which the cumulative sum is at least `share`: search by 32 bins, then by single bins."""
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
    """Return sum(power) and sum(ln(power)); the latter from the product of the mantissas and the sum of the exponents.

    This takes one logarithm per row instead of 513.
    """
    total, exponents, mantissas = np.float32(0), np.int32(0), np.float64(1)
    for low in range(0, power.size, 64):  # mantissas are below 2: 64 factors fit into float32, 1,023 into float64
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
def fill_power(re: Floats, im: Floats, power: Floats) -> None:
    """Fill `power` with re**2 + im**2; all are (frame, bin)."""
    for row in range(len(re)):
        x, y, squares = re[row], im[row], power[row]
        for k in range(x.size):
            squares[k] = x[k] * x[k] + y[k] * y[k]


@compiled
def count_crossings(is_negative: Bools, n_frame: int, hop_samples: int, counts: Counts) -> None:
    """Fill `counts`, (frame,), with the number of sign changes inside each frame.

    is_negative: (n,) 0 or 1.  n_frame: frame length in samples; frame f is centred on sample f * hop_samples.
    """
    for row in range(counts.size):
        low = max(0, row * hop_samples - n_frame // 2)
        high = min(is_negative.size, row * hop_samples + n_frame - n_frame // 2)
        before, after = is_negative[low : high - 1], is_negative[low + 1 : high]
        total = 0
        for k in range(before.size):
            total += before[k] ^ after[k]
        counts[row] = total

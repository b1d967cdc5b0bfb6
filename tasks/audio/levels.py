"""Levels of decoded samples: which channels to use, which chunks hold sound, what lies above the preset's band."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from tasks.audio.preset import Preset

Samples = npt.NDArray[np.float32]

_CANCELS_BELOW = 0.01  # of the loudest channel's energy: -20 dB; 64 unrelated channels average to -18 dB
_CLICK_S = 0.005  # on each side of the loudest sample
_MOST_IN_A_CLICK = 8  # of 1,000 samples spread over a chunk
_WINDOW = 4_096
_WINDOWS_A_S = 2  # of which the spectrum is estimated: a hundredth of the time that a chunk takes


class ChannelEnergies:
    """Adds up the energy of each channel, and of their average, block by block."""

    def __init__(self, n_channels: int) -> None:
        self._by_channel = np.zeros(n_channels)
        self._average = 0.0

    def add(self, block: Samples, average: Samples) -> None:
        """Add a block. block: (n, channel) float32.  average: (n,) float32."""
        with np.errstate(invalid="ignore", over="ignore"):
            self._by_channel += [np.dot(channel, channel) for channel in block.T]
            self._average += float(np.dot(average, average))

    def dead(self) -> list[int]:
        """Return the channels that hold only zeros, where others do not."""
        dead = np.flatnonzero(self._by_channel == 0)
        return dead.tolist() if len(dead) < len(self._by_channel) else []

    def louder(self) -> int | None:
        """Return the loudest channel if averaging cancels it, to less than a hundredth of its energy; else None."""
        loudest = int(np.argmax(self._by_channel))
        return loudest if self._average < _CANCELS_BELOW * self._by_channel[loudest] else None


def sounding(samples: Samples, starts: range, preset: Preset) -> npt.NDArray[np.bool_]:
    """Return which chunks of a span hold sound, (n_chunks,) bool.

    samples: (n,) float32, the span before noise is removed; the last chunks may be shorter than the others.
    starts: of the chunks, in `samples`.
    A chunk is silent if nothing in it exceeds the preset's silence level, its median and the 10 ms around its loudest
    sample left out: neither a constant nor a lone click is sound.
    """
    level = 10 ** (preset.gate.silence_dbfs / 20)
    width, size = round(_CLICK_S * preset.decode.rate_hz), preset.chunk_samples
    pieces = (samples[start : start + size] for start in starts)
    return np.array([_is_sounding(piece, level, width) for piece in pieces], bool)


def _is_sounding(piece: Samples, level: float, width: int) -> bool:
    # A chunk in which 1,000 samples vary answers at once: a click covers at most a few of them.
    some = np.sort(piece[:: max(1, len(piece) // 1_000)])
    if len(some) > _MOST_IN_A_CLICK and some[-_MOST_IN_A_CLICK - 1] - some[_MOST_IN_A_CLICK] > 2 * level:
        return True
    centred = np.abs(piece - np.median(piece))
    at = int(np.argmax(centred))
    centred[max(0, at - width) : at + width + 1] = 0
    return bool(centred.max() >= level)


def share_above_band(samples: Samples, rate_hz: int, preset: Preset) -> float:
    """Return the share of energy above the preset's highest mel band, 0..1, by two windows of 4,096 samples a second.

    samples: (n,) float32, at the recording's own rate.  rate_hz: that rate.
    """
    if rate_hz / 2 <= preset.mel.fmax_hz or len(samples) < _WINDOW:
        return 0.0
    n_windows = max(_WINDOWS_A_S, round(_WINDOWS_A_S * len(samples) / rate_hz))
    starts = np.linspace(0, len(samples) - _WINDOW, n_windows).astype(int)
    frames = np.stack([samples[at : at + _WINDOW] for at in starts]) * _hann()
    power = np.square(np.abs(scipy.fft.rfft(frames, axis=-1))).sum(axis=0)[2:]  # without DC
    above = scipy.fft.rfftfreq(_WINDOW, 1 / rate_hz)[2:] > preset.mel.fmax_hz
    total = float(power.sum())
    return float(power[above].sum()) / total if total > 0 else 0.0


@lru_cache(maxsize=1)
def _hann() -> Samples:
    return np.hanning(_WINDOW).astype(np.float32)

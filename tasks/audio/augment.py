"""Augmented copies of a chunk, reproducible from a seed."""

from __future__ import annotations

import contextlib
import random
import threading
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from domain.digests import augmentation_seed
from tasks.audio.parameters import AugmentSettings
from tasks.audio.preset import Preset

Samples = npt.NDArray[np.float32]

_global_generators = threading.Lock()


def augmented(chunk: Samples, seed: tuple[str, int, int], preset: Preset) -> Samples:
    """Return an augmented copy of a chunk. The same chunk, seed and preset always give the same copy.

    chunk: (n,) float32, full scale ±1; it is not changed.
    seed: (recording digest, number of the chunk in the recording, number of the copy from 1).
    Returns (n,) float32, a new array. A silent chunk stays silent.
    Applies shift, gain, equaliser, coloured noise and a time mask, each with its own probability. Pitch shift and time
    stretch are left out: their phase vocoder takes longer than the rest of the pipeline.
    """
    if not chunk.any():
        return chunk.copy()
    augment = compose_transforms(preset.augment, preset.chunk.duration_s)
    with _seeded(augmentation_seed(preset.digest, *seed)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = augment(samples=chunk.copy(), sample_rate=preset.decode.rate_hz)
    return np.ascontiguousarray(changed, np.float32)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python and numpy, and restore them afterwards: audiomentations uses only these."""
    with _global_generators:
        kept, kept_numpy = random.getstate(), np.random.get_state()
        try:
            random.seed(seed)
            np.random.seed(seed)
            yield
        finally:
            random.setstate(kept)
            np.random.set_state(kept_numpy)


@lru_cache(maxsize=4)
def compose_transforms(settings: AugmentSettings, duration_s: float) -> Any:
    """Return the transforms in the order they are applied; each draws from the global generators.

    duration_s: of a chunk, > 0; shift and mask are limited to it.
    """
    import audiomentations as am  # noqa: PLC0415  # imports for a second; only augmented copies need it

    shift_s, mask_s = (min(seconds, duration_s) for seconds in (settings.shift_s, settings.mask_s))
    return am.Compose([
        am.Shift(-shift_s, shift_s, shift_unit="seconds", rollover=True, p=0.8),
        am.Gain(-settings.gain_db, settings.gain_db, p=0.8),
        am.SevenBandParametricEQ(-settings.equaliser_db, settings.equaliser_db, p=0.5),
        am.AddColorNoise(settings.lowest_snr_db, settings.highest_snr_db, p=0.5),
        am.TimeMask(min_band_part=0.0, max_band_part=mask_s / duration_s, p=0.3),
    ])  # fmt: skip

"""Augmented copies of a chunk: what the same song might have sounded like on another day, microphone or gain."""

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
    """A copy of a chunk, changed at random but always in the same way; (n,) float32, a new array.

    chunk: (n,) float32, full scale ±1.  seed: (recording digest, chunk's number in the recording, copy from 1 on);
    with the pipeline digest it decides everything.
    Shift, gain, equaliser, coloured noise and a silenced stretch, each with its own chance; nothing that needs a
    phase vocoder, which costs more than all the rest of the pipeline. A silent chunk stays silent.
    """
    if not chunk.any():
        return chunk.copy()
    change = changes(preset.augment, preset.chunk.duration_s)
    with _seeded(augmentation_seed(preset.digest, *seed)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = change(samples=chunk.copy(), sample_rate=preset.decode.rate_hz)
    return np.ascontiguousarray(changed, np.float32)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and numpy's global generators seeded, and given back as they were: audiomentations knows no others."""
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
def changes(settings: AugmentSettings, duration_s: float) -> Any:
    """The transforms, in order, as audiomentations composes them; each draws from the global generators."""
    import audiomentations as am  # noqa: PLC0415  # a second of imports for those who want copies

    shift_s, mask_s = (min(seconds, duration_s) for seconds in (settings.shift_s, settings.mask_s))
    return am.Compose([
        am.Shift(-shift_s, shift_s, shift_unit="seconds", rollover=True, p=0.8),
        am.Gain(-settings.gain_db, settings.gain_db, p=0.8),
        am.SevenBandParametricEQ(-settings.equaliser_db, settings.equaliser_db, p=0.5),
        am.AddColorNoise(settings.lowest_snr_db, settings.highest_snr_db, p=0.5),
        am.TimeMask(min_band_part=0.0, max_band_part=mask_s / duration_s, p=0.3),
    ])  # fmt: skip

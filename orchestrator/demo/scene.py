"""Effects that change a song before it is stored: distance, echo, weather, insects and the microphone.

Each recordist has one microphone and one place, so a classifier that learns the noise instead of the bird scores low
when recordists are split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from orchestrator.demo.song import RATE_HZ, Samples

_BED_S = 12  # a place's wind repeats after this long; recordings start anywhere in it
_LOUDEST = 0.55  # Vorbis overshoots flat tops by up to 3.4 dB; -5.2 dBFS here keeps every file below -1 dBFS
_ECHO_S = 0.5


@dataclass(frozen=True)
class Place:
    """A recordist's microphone and the noise around it; every recording made there shares them.

    wind: (_BED_S · RATE_HZ,) float32 of unit RMS that can be read in a circle.
    """

    gain_db: float
    low_cut_hz: float
    bump_hz: float
    bump_db: float
    treble_db: float  # at 16 kHz, falling from 4 kHz on
    hiss_db: float  # the noise floor, below full scale
    echo_s: float  # time to fall by 60 dB
    wind: Samples


@dataclass(frozen=True)
class Take:
    """What differs between two recordings at one place."""

    distance_m: float
    wind_db: float  # below full scale
    neighbour_db: float  # the bird in the background, relative to the one in front
    insect_hz: float | None
    drops_per_s: float
    overdrive_db: float  # how far the loudest sample exceeds the microphone's range; 0 or more


def place(rng: np.random.Generator) -> Place:
    """A new recordist's microphone and surroundings."""
    return Place(
        gain_db=float(rng.uniform(-14, 0)),
        low_cut_hz=float(rng.uniform(150, 600)),
        bump_hz=float(np.exp(rng.uniform(np.log(1_500), np.log(9_000)))),
        bump_db=float(rng.uniform(-7, 7)),
        treble_db=float(rng.uniform(-14, 0)),
        hiss_db=float(rng.uniform(-72, -52)),
        echo_s=float(rng.uniform(0.15, 0.9)),
        wind=_pink(rng, _BED_S * RATE_HZ),
    )


def take(rng: np.random.Generator, distance_m: float) -> Take:
    """The conditions of a new recording: mostly calm, sometimes windy, wet, with an insect or too loud."""
    return Take(
        distance_m=distance_m,
        wind_db=float(rng.uniform(-62, -36)),
        neighbour_db=float(rng.uniform(-26, -10)),
        insect_hz=float(rng.uniform(3_500, 9_000)) if rng.random() < 0.25 else None,
        drops_per_s=float(rng.uniform(3, 25)) if rng.random() < 0.15 else 0.0,
        overdrive_db=float(rng.uniform(3, 9)) if rng.random() < 0.06 else 0.0,
    )


def recorded(front: Samples, behind: Samples | None, at: Place, now: Take, rng: np.random.Generator) -> Samples:
    """The recording of a song, and of a fainter one behind it, at a place.

    front, behind: (n,) float32 within ±1 as sung; None where no other bird sings.
    Returns (n,) float32 within ±_LOUDEST, flat-topped where now.overdrive_db is above 0.
    """
    n_samples = len(front)
    n_fft = fft.next_fast_len(n_samples + round(_ECHO_S * RATE_HZ), real=True)  # the last echo must not reach the start
    frequency_hz = np.fft.rfftfreq(n_fft, 1 / RATE_HZ).astype(np.float32)
    birds = front if behind is None else front + behind * np.float32(_amplitude(now.neighbour_db))
    spectrum = fft.rfft(birds, n_fft) * _air(frequency_hz, now.distance_m) * _echo(n_fft, at, now, rng)
    spectrum += fft.rfft(_surroundings(n_fft, at, now, rng))
    recorded: Samples = fft.irfft(spectrum * _microphone(frequency_hz, at), n_fft)[:n_samples]
    recorded += rng.standard_normal(n_samples, dtype=np.float32) * np.float32(_amplitude(at.hiss_db))
    return _levelled(recorded, at, now)


def _levelled(recorded: Samples, at: Place, now: Take) -> Samples:
    ceiling = _LOUDEST * _amplitude(at.gain_db / 4)
    loudest = float(np.abs(recorded).max())
    if now.overdrive_db > 0:
        gain = ceiling * _amplitude(now.overdrive_db) / loudest
    else:
        gain = min(_amplitude(at.gain_db), ceiling / loudest)
    level: Samples = np.clip(recorded * np.float32(gain), -ceiling, ceiling).astype(np.float32)
    return level


def _amplitude(level_db: float) -> float:
    return float(10 ** (level_db / 20))


def _air(frequency_hz: Samples, distance_m: float) -> Samples:
    """Gain of the way from the beak: spreading from 4 m on, and absorption growing with the square of frequency.

    Levels fall by 4 dB a doubling of distance, not the 6 of a free field: recordists raise the gain for a far bird.
    Source: ISO 9613-1:1993 at 20 °C and 50 % humidity gives about 0.1 dB a metre at 8 kHz; the square law
    0.0016 dB · m⁻¹ · kHz⁻² passes through it.
    """
    absorbed_db = 0.0016 * (frequency_hz / 1000) ** 2 * distance_m
    gain: Samples = (4 / distance_m) ** 0.7 * np.float32(10) ** (-absorbed_db / 20)
    return gain


def _echo(n_fft: int, at: Place, now: Take, rng: np.random.Generator) -> NDArray[np.complexfloating]:
    """Spectrum of the direct sound and of a noise tail that decays by 60 dB in at.echo_s, stronger from afar."""
    n_tail = round(_ECHO_S * RATE_HZ)
    decay = np.exp(np.arange(n_tail, dtype=np.float32) * np.float32(-6.9 / (at.echo_s * RATE_HZ)))
    tail = rng.standard_normal(n_tail, dtype=np.float32) * decay
    share = 0.5 * now.distance_m / 60
    tail *= np.float32(share / np.sqrt(float(np.sum(tail**2))))
    tail[0] = 1.0
    spectrum: NDArray[np.complexfloating] = fft.rfft(tail, n_fft)
    return spectrum


def _microphone(frequency_hz: Samples, at: Place) -> Samples:
    """Gain of the microphone: a low cut of 12 dB an octave, one resonance half an octave wide, a treble loss."""
    ratio = (frequency_hz / at.low_cut_hz) ** 2
    octaves = np.log2(np.maximum(frequency_hz, 1) / at.bump_hz)
    treble = np.clip(np.log2(np.maximum(frequency_hz, 1) / 4_000) / 2, 0, 1)
    response_db = at.bump_db * np.exp(-2 * octaves**2) + at.treble_db * treble
    gain: Samples = ratio / (1 + ratio) * np.float32(10) ** (response_db / 20)
    return gain


def _surroundings(n_samples: int, at: Place, now: Take, rng: np.random.Generator) -> Samples:
    """Wind, and where the take has them an insect and rain drops."""
    noise: Samples = np.take(at.wind, np.arange(n_samples) + rng.integers(len(at.wind)), mode="wrap")
    noise = noise * np.float32(_amplitude(now.wind_db))
    if now.insect_hz is not None:
        noise += _insect(n_samples, now.insect_hz, rng)
    if now.drops_per_s > 0:
        noise += _drops(n_samples, now.drops_per_s, rng)
    return noise


def _pink(rng: np.random.Generator, n_samples: int) -> Samples:
    """Noise of unit RMS whose power falls by 3 dB an octave, without a seam between its end and its start."""
    white = fft.rfft(rng.standard_normal(n_samples, dtype=np.float32))
    white[0] = 0
    white[1:] /= np.sqrt(np.arange(1, len(white), dtype=np.float32))
    pink: Samples = fft.irfft(white, n_samples)
    return pink / np.float32(np.sqrt(np.mean(pink**2)))


def _insect(n_samples: int, carrier_hz: float, rng: np.random.Generator) -> Samples:
    """A cricket's steady chirping, -45 to -32 dBFS."""
    time_s = np.arange(n_samples, dtype=np.float32) / RATE_HZ
    chirps = np.clip(np.sin(2 * np.pi * rng.uniform(12, 40) * time_s), 0, 1)
    loudness = np.float32(_amplitude(float(rng.uniform(-45, -32))))
    chirping: Samples = (loudness * chirps * np.sin(2 * np.pi * carrier_hz * time_s)).astype(np.float32)
    return chirping


def _drops(n_samples: int, per_s: float, rng: np.random.Generator) -> Samples:
    """Rain on leaves: ticks of about a millisecond at random moments, each of its own loudness."""
    ticks = np.zeros(n_samples, np.float32)
    n_drops = rng.poisson(per_s * n_samples / RATE_HZ)
    ticks[rng.integers(n_samples, size=n_drops)] = rng.uniform(0.02, 0.15, size=n_drops)
    ring = np.exp(-np.arange(64) / 12) * np.cos(2 * np.pi * rng.uniform(2_000, 6_000) * np.arange(64) / RATE_HZ)
    return np.convolve(ticks, ring.astype(np.float32))[:n_samples].astype(np.float32)

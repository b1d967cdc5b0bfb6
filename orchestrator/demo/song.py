"""Invented birds: a grammar of syllables and phrases for each species, and the songs it allows.

One model makes all sounds: a tone with overtones, whose frequency glides and wavers and whose loudness pulses. A
whistle, a trill and a buzz differ only in its parameters. Each genus has one main kind of syllable; its species differ
in pitch, tempo and order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE_HZ = 32_000
LOWEST_HZ, HIGHEST_HZ = 1_000.0, 11_000.0
_EDGE_S = 0.008  # a syllable fades in and out this long, or it would click


@dataclass(frozen=True)
class Syllable:
    """One uninterrupted sound of the voice.

    The frequency goes from start_hz to end_hz on a logarithmic scale and wavers by ±fm_depth (a fraction) at
    fm_rate_hz; the loudness dips by am_depth (0..1) at am_rate_hz; overtones are amplitudes of 2f, 3f, …
    """

    duration_s: float
    start_hz: float
    end_hz: float
    fm_rate_hz: float = 0.0
    fm_depth: float = 0.0
    am_rate_hz: float = 0.0
    am_depth: float = 0.0
    overtones: tuple[float, ...] = ()


@dataclass(frozen=True)
class Phrase:
    """Syllables by their number in the grammar, sung in order, the whole repeated, gap_s of silence after each."""

    syllables: tuple[int, ...]
    times: int
    gap_s: float


@dataclass(frozen=True)
class Grammar:
    """What a species can sing: phrases, how likely each is to come next, and the pause between two."""

    syllables: tuple[Syllable, ...]
    phrases: tuple[Phrase, ...]
    weights: tuple[float, ...]
    pause_s: float


@dataclass(frozen=True)
class Singer:
    """How one bird departs from its species: factors close to 1."""

    pitch: float
    tempo: float


def _glide(rng: np.random.Generator, centre_hz: float, widest: float) -> tuple[float, float]:
    """Start and end of a glide around centre_hz, up or down, by a factor between 1.3 and `widest`."""
    half = np.sqrt(rng.uniform(1.3, widest))
    ends = (centre_hz / half, centre_hz * half)
    return ends if rng.random() < 0.5 else (ends[1], ends[0])


def _whistle(rng: np.random.Generator, centre_hz: float) -> Syllable:
    drift = rng.uniform(0.95, 1.05)
    return Syllable(rng.uniform(0.2, 0.6), centre_hz, centre_hz * drift)


def _sweep(rng: np.random.Generator, centre_hz: float) -> Syllable:
    start_hz, end_hz = _glide(rng, centre_hz, widest=2.6)
    return Syllable(rng.uniform(0.12, 0.4), start_hz, end_hz)


def _trill(rng: np.random.Generator, centre_hz: float) -> Syllable:
    start_hz, end_hz = _glide(rng, centre_hz, widest=1.4)
    rate_hz = rng.uniform(7, 22)
    return Syllable(rng.uniform(0.5, 1.2), start_hz, end_hz, rate_hz, rng.uniform(0.06, 0.2), rate_hz, 1.0)


def _warble(rng: np.random.Generator, centre_hz: float) -> Syllable:
    return Syllable(rng.uniform(0.4, 1.0), centre_hz, centre_hz, rng.uniform(3, 9), rng.uniform(0.12, 0.35))


def _buzz(rng: np.random.Generator, centre_hz: float) -> Syllable:
    start_hz, end_hz = _glide(rng, centre_hz, widest=1.5)
    rate_hz = rng.uniform(70, 220)
    return Syllable(rng.uniform(0.25, 0.8), start_hz, end_hz, rate_hz, rng.uniform(0.1, 0.25), rate_hz, 0.9)


def _harmonics(rng: np.random.Generator, centre_hz: float) -> Syllable:
    start_hz, end_hz = _glide(rng, min(centre_hz, 2_600.0), widest=1.7)
    overtones = tuple(float(rng.uniform(0.3, 1.0)) / number for number in range(2, 6))
    return Syllable(rng.uniform(0.15, 0.5), start_hz, end_hz, overtones=overtones)


KINDS: dict[str, Callable[[np.random.Generator, float], Syllable]] = {
    "whistle": _whistle,
    "trill": _trill,
    "sweep": _sweep,
    "warble": _warble,
    "buzz": _buzz,
    "harmonics": _harmonics,
}


def pitch_hz(bird: int) -> float:
    """Where in 1,800 to 7,500 Hz a species sings: steps of the golden ratio keep any few of them far apart.

    >>> [round(pitch_hz(bird), -2) for bird in range(4)]
    [1800.0, 4300.0, 2500.0, 6100.0]
    """
    return float(1_800 * (7_500 / 1_800) ** (bird * (np.sqrt(5) - 1) / 2 % 1))


def grammar(kind: str, centre_hz: float, rng: np.random.Generator) -> Grammar:
    """The song rules of a new species in which one of KINDS prevails: two or three phrases, three or four syllables.

    >>> grammar("trill", 3e3, np.random.default_rng(1)) == grammar("trill", 3e3, np.random.default_rng(1))
    True
    """
    kinds = [kind, kind, *rng.choice(list(KINDS), size=int(rng.integers(1, 3)))]
    syllables = tuple(KINDS[each](rng, centre_hz * rng.uniform(0.75, 1.33)) for each in kinds)
    phrases = tuple(_phrase(rng, len(syllables), first) for first in range(int(rng.integers(2, 4))))
    weights = rng.dirichlet(np.full(len(phrases), 3.0))
    return Grammar(syllables, phrases, tuple(map(float, weights)), float(rng.uniform(0.35, 1.4)))


def _phrase(rng: np.random.Generator, n_syllables: int, first: int) -> Phrase:
    """A phrase that begins with syllable `first`, so that every grammar uses its prevailing kind."""
    others = rng.integers(n_syllables, size=int(rng.integers(0, 3)))
    return Phrase((first % n_syllables, *map(int, others)), int(rng.integers(1, 5)), float(rng.uniform(0.03, 0.22)))


def singer(rng: np.random.Generator) -> Singer:
    """A bird of any species; nineteen of twenty are within ±6 % in pitch and ±20 % in tempo of its rules."""
    return Singer(float(np.exp(rng.normal(0, 0.03))), float(np.exp(rng.normal(0, 0.1))))


def song(rules: Grammar, bird: Singer, duration_s: float, rng: np.random.Generator) -> Samples:
    """A song of a bird, as a microphone at its beak would hear it.

    Returns (duration_s · RATE_HZ,) float32 within ±1, silence between phrases, at least one syllable.
    """
    samples = np.zeros(round(duration_s * RATE_HZ), np.float32)
    at_s = float(rng.uniform(0.05, 0.8))
    while at_s < duration_s - 0.2:
        phrase = rules.phrases[int(rng.choice(len(rules.phrases), p=rules.weights))]
        for number in phrase.syllables * phrase.times:
            sound = voice(_sung_by(bird, rules.syllables[number], rng))
            start = round(at_s * RATE_HZ)
            room = samples[start : start + len(sound)]
            room += sound[: len(room)] * np.float32(rng.uniform(0.6, 1.0))
            at_s += (len(sound) / RATE_HZ) + phrase.gap_s / bird.tempo
        at_s += rules.pause_s * float(rng.uniform(0.6, 1.6)) / bird.tempo
    return samples


def _sung_by(bird: Singer, syllable: Syllable, rng: np.random.Generator) -> Syllable:
    """The syllable at this bird's pitch and tempo, a little different each time, inside the audible band."""
    pitch = bird.pitch * float(np.exp(rng.normal(0, 0.012)))
    start_hz, end_hz = np.clip((syllable.start_hz * pitch, syllable.end_hz * pitch), LOWEST_HZ * 1.3, HIGHEST_HZ / 1.3)
    return replace(
        syllable,
        duration_s=syllable.duration_s / bird.tempo * float(rng.uniform(0.9, 1.1)),
        start_hz=float(start_hz),
        end_hz=float(end_hz),
        fm_rate_hz=syllable.fm_rate_hz * bird.tempo,
        am_rate_hz=syllable.am_rate_hz * bird.tempo,
    )


def voice(syllable: Syllable) -> Samples:
    """The sound of a syllable: (duration_s · RATE_HZ,) float32 within ±1, faded at both ends.

    Overtones that would pass HIGHEST_HZ are left out, so nothing folds back at half the rate.
    """
    n_samples = max(1, round(syllable.duration_s * RATE_HZ))
    time_s = np.arange(n_samples, dtype=np.float32) / np.float32(RATE_HZ)
    glide_hz = np.geomspace(syllable.start_hz, syllable.end_hz, n_samples, dtype=np.float32)
    frequency_hz = glide_hz * (1 + syllable.fm_depth * np.sin(2 * np.pi * syllable.fm_rate_hz * time_s))
    # Summed in double precision and wrapped: a float32 phase of thousands of radians would hiss.
    turns = np.cumsum(frequency_hz, dtype=np.float64) / RATE_HZ
    phase = (2 * np.pi * (turns - np.floor(turns))).astype(np.float32)
    top_hz = float(frequency_hz.max())
    overtones = [(number, part) for number, part in enumerate(syllable.overtones, 2) if number * top_hz < HIGHEST_HZ]
    tone = np.sin(phase)
    for number, amplitude in overtones:
        tone += amplitude * np.sin(number * phase)
    dips = 1 - syllable.am_depth * (0.5 + 0.5 * np.cos(2 * np.pi * syllable.am_rate_hz * time_s))
    sounding: Samples = tone * dips * _fade(n_samples) / np.float32(1 + sum(part for _, part in overtones))
    return sounding


def _fade(n_samples: int) -> Samples:
    edge = min(round(_EDGE_S * RATE_HZ), n_samples // 2)
    rising = np.sin(np.linspace(0, np.pi / 2, edge, dtype=np.float32)) ** 2
    shape = np.ones(n_samples, np.float32)
    shape[:edge] = rising
    shape[n_samples - edge :] = rising[::-1]
    return shape

"""From a planned recording to the bytes of its file."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from orchestrator.demo import rows
from orchestrator.demo.ogg import encoded
from orchestrator.demo.scene import Place, place, recorded, take
from orchestrator.demo.song import RATE_HZ, Grammar, Samples, grammar, pitch_hz, singer, song


class Studio:
    """All species and places of one seed; its output depends on the seed and the recording alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @cached_property
    def grammars(self) -> tuple[Grammar, ...]:
        """The song rules of every possible species, in order."""
        birds = range(rows.MOST_SPECIES)
        return tuple(grammar(rows.kind(bird), pitch_hz(bird), self._rng("species", bird)) for bird in birds)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The place of every recordist, in order."""
        return tuple(place(self._rng("place", number)) for number in range(rows.N_RECORDISTS))

    def recording(self, planned: rows.Planned) -> bytes:
        """The Ogg Vorbis file of a planned recording."""
        return encoded(self.samples(planned), serial=planned.number)

    def samples(self, planned: rows.Planned) -> Samples:
        """A planned recording before it is encoded: (duration_s · RATE_HZ,) float32."""
        rng = self._rng("recording", planned.number)
        front = self._song(planned.species, planned.duration_s, rng)
        behind = None if planned.neighbour is None else self._song(planned.neighbour, planned.duration_s, rng)
        return recorded(front, behind, self.places[planned.recordist], take(rng, planned.distance_m), rng)

    def silence(self, duration_s: float) -> bytes:
        """A file in which every sample is zero."""
        return encoded(np.zeros(round(duration_s * RATE_HZ), np.float32), serial=0)

    def beep(self, duration_s: float) -> bytes:
        """A file with a steady tone of 2 kHz at -10 dBFS."""
        time_s = np.arange(round(duration_s * RATE_HZ), dtype=np.float32) / RATE_HZ
        return encoded((0.3 * np.sin(2 * np.pi * 2_000 * time_s)).astype(np.float32), serial=0)

    def _song(self, bird: int, duration_s: float, rng: np.random.Generator) -> Samples:
        return song(self.grammars[bird], singer(rng), duration_s, rng)

    def _rng(self, what: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *what.encode(), number])

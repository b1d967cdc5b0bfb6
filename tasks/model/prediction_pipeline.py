"""What makes the scores of a recording: a preset and the networks that read its spectrograms."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from domain.digests import digest_of
from tasks.audio.preset import Preset

# Increased with every change of the code after which the same preset and networks give other files of scores.
_REVISION = 2
_KEY = "prediction"


@dataclass(frozen=True)
class NetworkFile:
    """An exported network in the store. sha256: of its bytes, in hex."""

    key: str
    sha256: str


@dataclass(frozen=True)
class PredictionPipeline:
    """A preset and the networks whose mean score counts, such as those of all folds of one model."""

    preset: Preset
    networks: tuple[NetworkFile, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of everything that determines the scores of a recording."""
        networks = [network.sha256 for network in self.networks]
        return digest_of({"prediction": _REVISION, "preset": self.preset.digest, "networks": networks})

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters for the ledger: those of the preset, and the networks under a key of their own."""
        return {**self.preset.as_dict(), _KEY: {"networks": [asdict(network) for network in self.networks]}}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> PredictionPipeline:
        """Return the pipeline of a dictionary as `as_dict` returns it. Raises: PresetError as `Preset.from_dict`."""
        own = values[_KEY]
        preset = Preset.from_dict({name: value for name, value in values.items() if name != _KEY})
        return PredictionPipeline(preset, tuple(NetworkFile(**network) for network in own["networks"]))

    @staticmethod
    @lru_cache(maxsize=8)
    def from_json(text: str) -> PredictionPipeline:
        """Return the pipeline of `as_dict` as JSON. Cached, because a worker receives the same one with every item."""
        return PredictionPipeline.from_dict(json.loads(text))


def for_prediction(preset: Preset) -> Preset:
    """Return the preset with which recordings are predicted: every second counts, so a tail of any length is a chunk.

    Training drops short tails, because they are mostly zeros; whole chunks have the same spectrograms with both.
    """
    return replace(preset, chunk=replace(preset.chunk, shortest_tail_s=0.0))


def pipeline_digest(parameters: dict[str, Any]) -> str:
    """Return the digest by this version of a pipeline in the ledger: a preset, or a preset with networks.

    Raises: PresetError if this version does not accept the parameters.
    """
    if _KEY in parameters:
        return PredictionPipeline.from_dict(parameters).digest
    return Preset.from_dict(parameters).digest

"""What makes the scores of a recording: a preset, the networks that read its spectrograms, and the windows' overlap."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from domain.digests import digest_of
from domain.errors import MachineFault
from tasks.audio.preset import Preset
from tasks.audio.window import step_samples

# Increased with every change of the code after which the same preset and networks give other files of scores.
_REVISION = 1
_KEY = "prediction"


@dataclass(frozen=True)
class NetworkFile:
    """An exported network in the store. sha256: of its bytes, in hex."""

    key: str
    sha256: str


def network_content(get: Callable[[str, str], bytes], file: NetworkFile) -> bytes:
    """Return the bytes of a network. get: of the store.

    Raises: MachineFault if the store does not hold it; Damaged if it is not what was written; OSError.
    """
    try:
        return get(file.key, file.sha256)
    except FileNotFoundError as error:
        raise MachineFault(
            f"{file.key} is not in the store; `orchestrator doctor --repair` and then `orchestrator retry` of the run "
            "that trained it make it again"
        ) from error


@dataclass(frozen=True)
class PredictionPipeline:
    """A preset and the networks whose mean score counts, such as those of all folds of one model.

    overlap_s: of two windows that follow each other, in s.
    Raises: PresetError if the preset's windows cannot overlap so.
    """

    preset: Preset
    networks: tuple[NetworkFile, ...]
    overlap_s: float = 0.0

    def __post_init__(self) -> None:
        step_samples(self.overlap_s, self.preset)

    @property
    def step_samples(self) -> int:
        """Samples between the starts of two windows, at `preset.decode.rate_hz`."""
        return step_samples(self.overlap_s, self.preset)

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of everything that determines the scores of a recording."""
        networks = [network.sha256 for network in self.networks]
        return digest_of({
            "prediction": _REVISION, "preset": self.preset.digest, "networks": networks, **self._overlap(),
        })  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters for the ledger: those of the preset, and the others under a key of their own."""
        own = {"networks": [asdict(network) for network in self.networks], **self._overlap()}
        return {**self.preset.as_dict(), _KEY: own}

    def _overlap(self) -> dict[str, float]:
        """The overlap, if there is one: pipelines without it keep the names that they had before there was one."""
        return {"overlap_s": float(self.overlap_s)} if self.overlap_s else {}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> PredictionPipeline:
        """Return the pipeline of a dictionary as `as_dict` returns it. Raises: PresetError as `Preset.from_dict`."""
        own = values[_KEY]
        preset = Preset.from_dict({name: value for name, value in values.items() if name != _KEY})
        networks = tuple(NetworkFile(**network) for network in own["networks"])
        return PredictionPipeline(preset, networks, own.get("overlap_s", 0.0))

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

"""What a person typed -> a request, or one sentence why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.plan import Request
from tasks.failures import ChorusError
from tasks.model.zoo import MODELS, entry

STAGES = ("preprocess", "pack", "train", "all")


class UsageError(ChorusError):
    """An option has a value that makes no sense."""


def request(
    models: str, preset: str, folds: int | None, seeds: Sequence[int], split_seed: int, epochs: int | None, until: str
) -> Request:
    """The request. Raises UnknownModel, or UsageError for a stage that does not exist."""
    if until not in STAGES:
        raise UsageError(f"--until {until!r} is not one of {', '.join(STAGES)}")
    named = tuple(MODELS) if models == "all" else tuple(name.strip() for name in models.split(",") if name.strip())
    if not named:
        raise UsageError(f"--models {models!r} names no model; there are {', '.join(MODELS)}")
    for name in named:
        entry(name)
    training: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    return Request(tuple(dict.fromkeys(named)), tuple(seeds), folds, split_seed, until, preset, training)

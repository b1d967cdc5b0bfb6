"""What a user asks for, as a validated value. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from domain.errors import UsageError
from domain.states import Stage
from tasks.model.inputs import FEATURE_SETS
from tasks.model.zoo import MODELS, entry

DEVICES = ("auto", "cpu", "gpu")
_HIGHEST_SEED = 2**31 - 1
"""The largest value of the ledger's column."""


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    training: settings of the training that differ from the model's own.
    """

    models: tuple[str, ...] = ("cnn",)
    seeds: tuple[int, ...] = (0,)
    n_folds: int | None = None
    split_seed: int = 0
    until: str = "all"
    preset: str | None = None
    training: dict[str, Any] = field(default_factory=dict)
    trust_csv: bool = False
    leak_meter: bool = False
    drop_leaks: bool = False
    ablate: tuple[str, ...] = ()
    device: str = "auto"
    features: str = "audio"
    class_folders: tuple[str, ...] = ()
    path_column: str | None = None
    label_column: str | None = None
    allow_empty_classes: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, which is kept with the run."""
        return {
            **self.__dict__, "models": list(self.models), "seeds": list(self.seeds), "ablate": list(self.ablate),
            "class_folders": list(self.class_folders),
        }  # fmt: skip


def model_names(text: str) -> tuple[str, ...]:
    """The models, each once.

    Raises:
        UsageError: the text names no model.
        UnknownModel: a model does not exist.

    >>> model_names("cnn, cnn")
    ('cnn',)
    """
    names = tuple(MODELS) if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"--models {text!r} names no model; there are {', '.join(MODELS)}")
    return tuple(dict.fromkeys(entry(name).name for name in names))


def folder_names(text: str | None) -> tuple[str, ...]:
    """The names of folders, separated by commas.

    >>> folder_names("train, test"), folder_names(None)
    (('train', 'test'), ())
    """
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def seed_numbers(first: int, n: int) -> tuple[int, ...]:
    """`n` seeds from the first one on.

    Raises:
        UsageError: the last seed is larger than the ledger can hold.

    >>> seed_numbers(7, 3)
    (7, 8, 9)
    """
    if first + n - 1 > _HIGHEST_SEED:
        raise UsageError(f"--seed {first} and --seeds {n} go beyond {_HIGHEST_SEED}, the highest seed; begin lower")
    return tuple(range(first, first + n))


def last_stage(text: str) -> str:
    """The stage.

    Raises:
        UsageError: it does not exist.
    """
    return _one_of("--until", text, tuple(Stage))


def device_name(text: str) -> str:
    """The device.

    Raises:
        UsageError: it does not exist.
    """
    return _one_of("--device", text, DEVICES)


def feature_set(text: str) -> str:
    """The set of features.

    Raises:
        UsageError: it does not exist.
    """
    return _one_of("--features", text, tuple(FEATURE_SETS))


def _one_of(option: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise UsageError(f"{option} {text!r} is not one of {', '.join(allowed)}")
    return text

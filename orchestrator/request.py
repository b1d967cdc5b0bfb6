"""What a person typed -> values of a request, or one sentence why not."""

from __future__ import annotations

from db.states import Stage
from tasks.failures import ChorusError
from tasks.model.zoo import MODELS, entry


class UsageError(ChorusError):
    """An option has a value that makes no sense."""

    exit_code = 2


def model_names(text: str) -> tuple[str, ...]:
    """The models, each once. Raises UsageError when there is none, UnknownModel for one that does not exist.

    >>> model_names("cnn, cnn")
    ('cnn',)
    """
    names = tuple(MODELS) if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"--models {text!r} names no model; there are {', '.join(MODELS)}")
    return tuple(dict.fromkeys(entry(name).name for name in names))


def last_stage(text: str) -> str:
    """The stage. Raises UsageError for one that does not exist."""
    if text not in list(Stage):
        raise UsageError(f"--until {text!r} is not one of {', '.join(Stage)}")
    return text

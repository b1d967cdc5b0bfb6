"""Keys of the store."""

from __future__ import annotations

import re

_CHECKPOINT = ".keras.checkpoint.npz"


def parts(key: str) -> list[str]:
    """The key's parts. Raises ValueError for one that would leave the store.

    >>> parts("strips/ab/x.png")
    ['strips', 'ab', 'x.png']
    """
    found = key.split("/")
    if not key or key.startswith("/") or any(part in {"", ".", ".."} for part in found):
        raise ValueError(f"store key {key!r:.80} is not a relative path without dots")
    return found


def named_digest(key: str) -> str:
    """The beginning of its content's SHA-256 that a key holds, as keys of evaluations and reports do; "" in others.

    >>> named_digest("evaluations/ab12.json"), named_digest("reports/cd34/run-1.html"), named_digest("models/1/x.keras")
    ('ab12', 'cd34', '')
    """
    kind, _, rest = key.partition("/")
    return re.split(r"[/.]", rest)[0] if kind in ("evaluations", "reports") else ""


def checkpoint_of(model_key: str) -> str:
    """Where a training keeps its progress until the model of that key is there."""
    return f"{model_key.removesuffix('.keras')}{_CHECKPOINT}"


def checkpointed_model(key: str) -> str:
    """The name of the model whose training keeps its progress under the key; "" where the key is no checkpoint's.

    >>> checkpointed_model(checkpoint_of("models/ab12/deep_cnn.keras")), checkpointed_model("models/ab12/cnn.keras")
    ('deep_cnn', '')
    """
    name = key.rpartition("/")[2]
    return name.removesuffix(_CHECKPOINT) if name.endswith(_CHECKPOINT) else ""

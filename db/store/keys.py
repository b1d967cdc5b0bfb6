"""Keys of the store."""

from __future__ import annotations

import re

_CHECKPOINT = ".keras.checkpoint.npz"


def parts(key: str) -> list[str]:
    """The key's parts. Raises: ValueError for a key that would leave the store.

    >>> parts("strips/ab/x.png")
    ['strips', 'ab', 'x.png']
    """
    found = key.split("/")
    if not key or key.startswith("/") or any(part in {"", ".", ".."} for part in found):
        raise ValueError(f"store key {key!r:.80} is not a relative path without dots")
    return found


def named_digest(key: str) -> str:
    """The beginning of the content's SHA-256 in a key of an evaluation or report; "" for other keys.

    >>> named_digest("evaluations/ab12.json"), named_digest("reports/cd34/run-1.html"), named_digest("models/1/x.keras")
    ('ab12', 'cd34', '')
    """
    kind, _, rest = key.partition("/")
    return re.split(r"[/.]", rest)[0] if kind in ("evaluations", "reports") else ""


def checkpoint_of(model_key: str) -> str:
    """The key of the checkpoint of the training that makes the model of that key."""
    return f"{model_key.removesuffix('.keras')}{_CHECKPOINT}"


def checkpointed_model(key: str) -> str:
    """The name of the model that a checkpoint's key belongs to; "" if the key is not a checkpoint's.

    >>> checkpointed_model(checkpoint_of("models/ab12/deep_cnn.keras")), checkpointed_model("models/ab12/cnn.keras")
    ('deep_cnn', '')
    """
    name = key.rpartition("/")[2]
    return name.removesuffix(_CHECKPOINT) if name.endswith(_CHECKPOINT) else ""

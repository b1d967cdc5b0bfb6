"""The models that can be trained. A child process asks Keras; this process never imports it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from domain.errors import MachineFault

_ROOT = Path(__file__).resolve().parents[2]
_LONGEST_S = 120


def model_descriptions(n_classes: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the description of each model as a network for n_classes classes; see `tasks.model.listing`.

    Raises:
        MachineFault: Keras cannot be imported, or takes more than two minutes.
    """
    command = [sys.executable, "-m", "tasks.model.listing", str(n_classes), *names]
    try:
        listing = subprocess.run(  # noqa: S603  # this interpreter and this package
            command, capture_output=True, text=True, check=False, cwd=_ROOT, timeout=_LONGEST_S
        )
    except subprocess.TimeoutExpired as error:
        raise MachineFault(f"the models cannot be listed: Keras took more than {_LONGEST_S} s; try again") from error
    if listing.returncode:
        last = listing.stderr.strip().rpartition("\n")[2]
        raise MachineFault(f"the models cannot be listed: {last}; `pip install` the train requirements")
    found: list[dict[str, Any]] = json.loads(listing.stdout)
    return found


def lines(models: Sequence[dict[str, Any]], *, with_layers: bool) -> Iterator[str]:
    """The models as text, on request with their layers."""
    width = max(len(model["name"]) for model in models)
    for model in models:
        inputs = ", ".join(f"{name} {_shape(shape)}" for name, shape in model["inputs"].items())
        yield f"{model['name']:<{width}}  {model['sentence']}"
        reads = "generates spectrograms from" if model["kind"] == "generator" else "reads"
        yield f"{'':<{width}}  {reads} {inputs} of the preset {model['preset']}"
        yield f"{'':<{width}}  {model['parameters']:,} parameters, {model['trainable_parameters']:,} trained"
        if with_layers:
            yield ""
            yield from (
                f"  {layer['name']:<22} {layer['type']:<24} {_shape(layer['output']):<16} {layer['parameters']:>9,}"
                for layer in model["layers"]
            )
            yield ""


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(str(size) for size in sizes)

"""The libraries that determine the weights of a training."""

from __future__ import annotations

from importlib.metadata import version

import keras
import tensorflow as tf


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that a bundle's weights depend on, by name."""
    return {"keras": keras.__version__, "numpy": version("numpy"), "tensorflow": tf.__version__}

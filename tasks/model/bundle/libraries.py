"""The libraries that the numbers of a training come from."""

from __future__ import annotations

from importlib.metadata import version

import keras
import tensorflow as tf


def library_versions() -> dict[str, str]:
    """The versions of what a bundle's weights depend on, on this machine."""
    return {"keras": keras.__version__, "numpy": version("numpy"), "tensorflow": tf.__version__}

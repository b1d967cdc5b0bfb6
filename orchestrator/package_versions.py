"""Versions of the installed packages that influence results."""

from __future__ import annotations

import importlib.metadata
import platform

_PACKAGES = (
    "dawn-chorus", "numpy", "scipy", "librosa", "soundfile", "soxr", "noisereduce", "audiomentations", "pillow",
    "pyarrow", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu", "onnxruntime", "celery", "sqlalchemy",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the installed versions of Python and of the packages that influence results, by name."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

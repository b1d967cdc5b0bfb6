"""Versions of the installed packages that influence results."""

from __future__ import annotations

import importlib.metadata
import platform

_PACKAGES = (
    "dawn-chorus", "numpy", "scipy", "librosa", "soundfile", "soxr", "noisereduce", "audiomentations", "pillow",
    "pyarrow", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu", "celery", "sqlalchemy",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Of Python and of every package that has a say in the result, as installed here."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

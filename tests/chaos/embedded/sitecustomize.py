"""Read by every Python with this folder in PYTHONPATH: brings the faults to the worker that a command starts."""

from __future__ import annotations

import importlib
import os

if os.environ.get("CHORUS_ROLE") == "cpu":
    importlib.import_module("tests.chaos.faulty_app")

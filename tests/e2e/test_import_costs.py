"""What an import costs, in a fresh interpreter for each module."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).resolve().parents[2]
LIGHT_TOO = ("orchestrator.planning.submit", "orchestrator.execution.run", "db.store.interface")
LIGHT = ("orchestrator.cli.main", "workers.app", "workers.roles", "tasks.preprocess", "tasks.pack", "tasks.render")


@cache
def imported_by(module: str) -> set[str]:
    """The top-level modules that are loaded once a module has been imported in a fresh interpreter."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_the_orchestrator_and_the_cpu_workers_never_load_tensorflow(module):
    if not ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file():
        servers.absent(module, "docs and compose name it, so write it or take it out of LIGHT")
    assert not imported_by(module) & {"keras", "tensorflow"}


def test_the_command_line_loads_nothing_heavy_before_it_knows_what_is_asked():
    if not (ROOT / "orchestrator" / "cli" / "main.py").is_file():
        servers.absent("orchestrator.cli.main", "the console script names it, so write it")
    heavy = {"librosa", "matplotlib", "numba", "numpy", "pandas", "scipy", "seaborn", "sklearn"}
    assert not imported_by("orchestrator.cli.main") & heavy


@pytest.mark.parametrize("module", [*LIGHT, *LIGHT_TOO])
def test_who_has_no_bucket_and_shows_no_figures_pays_for_neither(module):
    assert not imported_by(module) & {"obstore", "prometheus_client"}

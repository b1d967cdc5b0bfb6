"""What the pipeline is measured against: the same work as a plain function of one recording, for joblib to map."""

from __future__ import annotations

import functools
import hashlib
import runpy
from pathlib import Path
from typing import Any

from db.store.folder import FolderStore
from domain.errors import Unusable
from tasks.audio.chunk import n_spans
from tasks.audio.preset import load_preset
from tasks.audio.recording import probe
from tasks.audio.strip import encode, make_strip
from tasks.preprocess import strip_key

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "bench" / "reference_pipeline.py"

_preset = functools.cache(load_preset)


def one(path: Path, digest: str, into: Path) -> None:
    """What a worker does with one recording, without the ledger: make, encode, put."""
    preset = _preset("birdclef2021")
    facts = probe(path)
    for span in range(n_spans(facts.n_frames, facts.rate_hz, path.stat().st_size, preset)):
        try:
            strip = make_strip(path, digest, span, 0, preset)
        except Unusable:
            return
        data = encode(strip)
        FolderStore(into).put(strip_key(preset.digest, digest, span, 0, hashlib.sha256(data).hexdigest()), data)


def plain(path: Path, digest: str, into: Path) -> None:
    """The same by plain librosa and noisereduce calls, written as the reference writes."""
    folder = into / digest
    folder.mkdir(parents=True, exist_ok=True)
    _reference()["process"](str(path), str(folder))


@functools.cache
def _reference() -> dict[str, Any]:
    return runpy.run_path(str(REFERENCE))

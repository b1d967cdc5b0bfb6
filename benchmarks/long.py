"""One long recording and several worker processes: spans per second with one and two children, and their memory.

    python -m benchmarks.long [--hours 3] [--pairs 2] [--flac]

Makes a sparse RF64 (or a FLAC) at 48 kHz with ten seconds of noise in every span. Runs
`orchestrator run --until preprocess` on it, alternately with one child and with two, each in a fresh home. Prints a
table, then one line of JSON with medians: spans per second from the first claim to the last strip in the ledger, their
ratio, and the largest resident memory of any child.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from db.engine import Database

RATE_HZ = 48_000
SPAN_S, NOISE_S = 75, 10
HEADER_BYTES = 80


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--flac", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "data" / "night" / ("long.flac" if arguments.flac else "long.wav")
        recording.parent.mkdir(parents=True)
        (flac if arguments.flac else sparse_rf64)(recording, round(arguments.hours * 3600))
        rows = []
        for pair in range(arguments.pairs):
            order = (1, 2) if pair % 2 == 0 else (2, 1)
            rows.append({n: measured(recording.parents[1], Path(folder) / f"home-{pair}-{n}", n) for n in order})
            for n, (spans_a_second, peak_mb) in sorted(rows[-1].items()):
                print(f"{n} children: {spans_a_second:.2f} spans/s, peak {peak_mb:.0f} MB", flush=True)
    pace = {n: statistics.median(row[n][0] for row in rows) for n in (1, 2)}
    peak_mb = max(found[1] for row in rows for found in row.values())
    figures = {"hours": arguments.hours, "format": recording.suffix[1:]} | {
        "spans_a_second_1": round(pace[1], 2),
        "spans_a_second_2": round(pace[2], 2),
    }
    print(json.dumps(figures | {"ratio": round(pace[2] / pace[1], 2), "peak_mb": round(peak_mb)}))


def sparse_rf64(path: Path, seconds: int, noise_s: int = NOISE_S) -> None:
    """Mono, 16 bits, with noise at the start of every span; silence takes no room on the disk."""
    data_bytes = seconds * RATE_HZ * 2
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, HEADER_BYTES - 8 + data_bytes, data_bytes, seconds * RATE_HZ, 0)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)
    noise = (np.random.default_rng(1).standard_normal(noise_s * RATE_HZ) * 3000).astype("<i2").tobytes()
    with path.open("wb") as file:
        file.write(struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE") + ds64 + form + b"data" + b"\xff" * 4)
        assert file.tell() == HEADER_BYTES
        for start_s in range(0, seconds - noise_s + 1, SPAN_S):
            file.seek(HEADER_BYTES + start_s * RATE_HZ * 2)
            file.write(noise)
        file.truncate(HEADER_BYTES + data_bytes)


def flac(path: Path, seconds: int) -> None:
    """Mono, 16 bits, the same sounds at the same times."""
    span = np.zeros(SPAN_S * RATE_HZ, np.int16)
    span[: NOISE_S * RATE_HZ] = np.random.default_rng(1).standard_normal(NOISE_S * RATE_HZ) * 3000
    with soundfile.SoundFile(path, "w", RATE_HZ, 1) as sound:
        for start_s in range(0, seconds, SPAN_S):
            sound.write(span[: (seconds - start_s) * RATE_HZ])


def measured(dataset: Path, home: Path, n_children: int) -> tuple[float, float]:
    """Spans a second, and the largest child's peak resident memory in MB."""
    orchestrator = str(Path(sys.executable).with_name("orchestrator"))
    command = [orchestrator, "run", str(dataset), "--until", "preprocess", "--home", str(home), "--json"]
    environment = os.environ | {"CHORUS_CONCURRENCY": str(n_children)}
    peak_mb = 0.0
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            peak_mb = max([peak_mb, *(peak for peak in peaks_mb(home))])
            time.sleep(0.05)
        if process.returncode != 0:
            sys.exit(process.stderr.read().decode() if process.stderr else "")
    database = Database(f"sqlite:///{home / 'ledger.sqlite'}")
    with database.read() as connection:
        ends = "SELECT COUNT(*), MIN(started_at), MAX(finished_at) FROM item WHERE state = 'done'"
        n_spans, first, last = connection.exec_driver_sql(ends).one()
    database.close()
    return n_spans / (last - first), peak_mb


def peaks_mb(home: Path) -> list[float]:
    """Peak resident memory of every Celery process of this home."""
    mark, found = f"CHORUS_HOME={home}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes() and b"celery" in (entry / "cmdline").read_bytes():
                lines = (entry / "status").read_text().splitlines()
                found += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()

"""Recordings a second with dataset and store on S3 against both in folders, with the same workers.

    python -m benchmarks.store DIR [--processes 2] [--pairs 3]

The S3 server (SeaweedFS) runs on this machine, on the same cores, and is started for the purpose; what it takes of them
is printed as well. Runs alternate, each with a fresh home and an empty store. `steady` is from the first claim
to the last strip in the ledger. The last line is JSON: `ratio_steady` is S3 over folder, 1 is as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.pipeline import run_ours
from db.store.objects import Objects
from tests import buckets, servers


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    with (
        servers.private_folder("chorus-s3") as folder,
        buckets.seaweedfs(folder) as server,
        servers.environ(server.environment),
    ):
        n_bytes = upload(arguments.dataset, "s3://benchmark/data")
        rows = [pair(number, arguments.dataset, arguments.processes, server) for number in range(arguments.pairs)]
    found: dict[str, float] = {"processes": arguments.processes, "pairs": len(rows), "recordings": rows[0]["s3"]["n"]}
    found["mean_bytes"] = round(n_bytes / rows[0]["s3"]["n"])
    for part in ("steady", "whole"):
        for name in ("folder", "s3"):
            found[f"{name}_{part}_a_second"] = round(
                statistics.median(row[name]["n"] / row[name][f"{part}_s"] for row in rows), 3
            )
        found[f"ratio_{part}"] = round(
            statistics.median(row["folder"][f"{part}_s"] / row["s3"][f"{part}_s"] for row in rows), 3
        )
    found["server_cpu_ms_a_recording"] = round(
        statistics.median(1000 * row["s3"]["server_cpu_s"] / row["s3"]["n"] for row in rows), 1
    )
    print(json.dumps(found))


def upload(folder: Path, url: str) -> int:
    """Every file below the folder, under the same name; returns the bytes."""
    objects, n_bytes = Objects(url, allows_plain_http=True), 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            objects.put(path.relative_to(folder).as_posix(), path)
            n_bytes += path.stat().st_size
    return n_bytes


def pair(number: int, dataset: Path, processes: int, server: buckets.Server) -> dict[str, dict[str, float]]:
    """The same run from a folder and from S3, alternating which comes first: by name, what `run_ours` found."""
    found: dict[str, dict[str, float]] = {}
    for name in ("folder", "s3") if number % 2 == 0 else ("s3", "folder"):
        with tempfile.TemporaryDirectory() as folder:
            before_s = cpu_s(server.service.process.pid)
            if name == "folder":
                found[name] = run_ours(dataset, Path(folder), processes)
            else:
                store = {"CHORUS_STORE_URL": f"s3://benchmark/store-{number}"}
                found[name] = run_ours("s3://benchmark/data", Path(folder), processes, **store)
            found[name]["server_cpu_s"] = cpu_s(server.service.process.pid) - before_s
        print(f"{name:6} {found[name]['n']} recordings, whole {found[name]['whole_s']:.1f} s, steady {found[name]['steady_s']:.1f} s", flush=True)  # fmt: skip  # noqa: E501
    return found


def cpu_s(process: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

"""A soak: many tiny recordings, several workers, a fault every few seconds; is anything lost, does memory grow?

    python benchmarks/soak.py                                  # 200,000 items, 4 workers, 15 minutes of faults
    python benchmarks/soak.py --items 20000 --minutes 3        # a short one

Prints items done, faults by kind, and for each kind of process its memory at most and how fast it grew: the slope over
the life of each process that lived for two minutes, without its first, in which it loads and fills its caches.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from db import status
from db.states import OPEN
from orchestrator import plan
from orchestrator.watch import snapshot
from tests import services
from tests.chaos.machines import Broker, Machines, machines, submitted
from tests.recordings import write_samples

FAULTS = ("child", "child", "worker", "dispatcher", "flush", "pop")
SAMPLE_EVERY_S, LIVED_S, WARM_AFTER_S = 2.0, 120.0, 60.0


def make_dataset(folder: Path, n_items: int) -> Path:
    """A csv of n_items recordings of 0.15 s in a few folders, no two alike."""
    noise = np.random.default_rng(0).standard_normal(1200).astype(np.float32) * 0.1
    with (folder / "labels.csv").open("w") as table:
        table.write("path,label\n")
        for number in range(n_items):
            name = f"{number % 100}/{number}.wav"
            samples = np.roll(noise, number)
            samples[0] = (number % 20_000) / 30_000  # of its own bytes
            samples[1] = number // 20_000 / 40
            write_samples(folder / name, samples, 8000)
            table.write(f"{name},{'ab'[number % 2]}\n")
    return folder / "labels.csv"


def memory_bytes(process_id: int) -> int | None:
    """What the process holds in memory; None when it has ended."""
    try:
        return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return None


class Meter:
    """Memory of every process over time, by its kind."""

    def __init__(self, cluster: Machines, broker: Broker) -> None:
        self._cluster, self._broker, self._next_s = cluster, broker, 0.0
        self.seen: dict[tuple[str, int], list[tuple[float, int]]] = defaultdict(list)

    def look(self) -> None:
        """Notes what every process holds, once in a while at most."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + SAMPLE_EVERY_S
        kinds = {("broker", self._broker.service.process.pid)}
        for name, process in self._cluster.processes.items():
            kinds.add(("dispatcher" if name == "dispatcher" else "worker", process.pid))
            kinds |= {("child", child) for child in self._cluster.children(name) if name != "dispatcher"}
        for key in kinds:
            if (found := memory_bytes(key[1])) is not None:
                self.seen[key].append((now_s, found))

    def lines(self) -> list[str]:
        """One line a kind of process: lives, peak, and how fast memory grew, in MB a minute."""
        told = []
        for kind in ("broker", "dispatcher", "worker", "child"):
            lives = [life for (of, _), life in self.seen.items() if of == kind and life[-1][0] - life[0][0] > LIVED_S]
            if not lives:
                told.append(f"{kind:<11} none lived for {LIVED_S:.0f} s")
                continue
            slopes = [_slope_mb_a_minute([at for at in life if at[0] - life[0][0] > WARM_AFTER_S]) for life in lives]
            peak = max(memory for life in lives for _, memory in life) / 1e6
            told.append(
                f"{kind:<11} {len(lives)} lives, peak {peak:.0f} MB, "
                f"slope {statistics.median(slopes):+.2f} MB a minute (worst {max(slopes):+.2f})"
            )
        return told


def _slope_mb_a_minute(life: list[tuple[float, int]]) -> float:
    at, memory = np.array(life, float).T
    return float(np.polyfit(at, memory, 1)[0] * 60 / 1e6)


def strike(kind: str, cluster: Machines, broker: Broker, draw: random.Random) -> None:
    """One fault: flush, pop, dispatcher, worker or child."""
    if kind == "flush":
        broker.client.flushall()
    elif kind == "pop":
        broker.client.lpop("cpu", max(1, broker.client.llen("cpu") // 2))
    else:
        name = kind if kind == "dispatcher" else draw.choice(sorted(set(cluster.processes) - {"dispatcher"}))
        found = cluster.children(name) if kind == "child" else [cluster.processes[name].pid]
        for victim in found[:1]:
            os.kill(victim, signal.SIGKILL)


def soak(n_items: int, minutes: float, every_s: float, seed: int) -> int:
    """Carries a run through a fault every so many seconds, for so long; how many items were not done in the end."""
    draw, met = random.Random(seed), Counter[str]()
    with (
        tempfile.TemporaryDirectory(prefix="chorus-soak-") as folder,
        services.private_folder("chorus-soak") as sockets,
    ):
        data = Path(folder) / "data"
        data.mkdir()
        table = make_dataset(data, n_items)
        with Broker(sockets) as broker, machines(Path(folder), broker.url, lease_s=20.0, concurrency=1) as cluster:
            request = plan.Request(until="preprocess", trust_csv=True)
            run = submitted(cluster, table, request)
            for name in "abcd":
                cluster.start_worker(name)
            cluster.start_dispatcher()
            meter, began_s, next_s = Meter(cluster, broker), time.monotonic(), time.monotonic() + every_s
            while (seen := snapshot(cluster.session.database, run)) and not seen.is_over:
                cluster.keep_up()
                meter.look()
                is_time = time.monotonic() >= next_s and time.monotonic() - began_s < 60 * minutes
                if is_time:
                    kind = draw.choice(FAULTS)
                    strike(kind, cluster, broker, draw)
                    met[kind] += 1
                    next_s = time.monotonic() + draw.uniform(every_s / 2, every_s * 1.5)
                time.sleep(0.2)
            took_s = time.monotonic() - began_s
            counts = status.item_counts(cluster.session.database, run)
            lost = n_items - counts["done"]
            pace = counts["done"] / took_s
            print(f"{counts['done']:,} of {n_items:,} items done in {took_s:.0f} s, {pace:.0f} a second")
            print(f"faults: {dict(met)}; open {sum(counts[state] for state in OPEN)}, not done {lost}")
            print("\n".join(meter.lines()))
    return lost


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--items", type=int, default=200_000)
    options.add_argument("--minutes", type=float, default=15.0, help="of faults; the run goes on to its end")
    options.add_argument("--every-s", type=float, default=5.0, help="a fault, on average")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    sys.exit(soak(given.items, given.minutes, given.every_s, given.seed) != 0)


if __name__ == "__main__":
    main()

"""A soak test: many tiny recordings, several workers, a fault every few seconds. No work is lost; memory is flat.

    python benchmarks/soak.py                                           # 400,000 items, 4 workers, 15 minutes of faults
    python benchmarks/soak.py --items 20000 --minutes 3 --lived-s 60    # a short one

Prints the items done by each worker, the faults by kind, and for each kind of process its largest memory and its
growth. Processes are killed and replaced. A slope is fitted to processes that lived for `--lived-s` seconds, without
the first third of each life. Worker `d` is never killed, and the dispatcher only in the first third of the time, so
that some processes live long enough; all other faults hit them too.
Exits with 1 if an item is lost or done twice, if a kind of process grows beyond noise or has too few measurements, if
a worker did nothing, or if the items were done before the time was over.
A short run only shows that the test works: caches fill for a minute or more, so it says little about memory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.growth import Growth, Meter
from db.queries import status
from db.queries.run_counts import faults
from db.schema.tables import Item
from orchestrator.planning.request import Request
from orchestrator.progress import snapshot
from tests import servers
from tests.chaos.machines import Broker, Machines, machines, submitted
from tests.recordings import write_samples

FAULTS = ("child", "child", "worker", "dispatcher", "flush", "pop")
WORKERS = "abcd"
SPARED = "d"


@dataclass(frozen=True)
class Asked:
    """What a soak is to be."""

    n_items: int
    minutes: float
    every_s: float
    lived_s: float
    seed: int


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


@dataclass
class Soak:
    """A cluster under faults, and what was seen of it."""

    asked: Asked
    cluster: Machines
    broker: Broker
    draw: random.Random
    met: Counter[str] = field(default_factory=Counter)
    meter: Meter = field(default_factory=Meter)

    def carry_out(self, run: int) -> float:
        """Strikes every so many seconds, for so long, until the run is over; returns the seconds it took."""
        began_s = time.monotonic()
        next_s, until_s = began_s + self.asked.every_s, began_s + 60 * self.asked.minutes
        while not snapshot(self.cluster.session.database, run).is_over:
            self.cluster.keep_up()
            if self.meter.is_due:
                self.meter.look(self.processes())
            now_s = time.monotonic()
            if next_s <= now_s < until_s:
                is_early = now_s - began_s < (until_s - began_s) / 3
                kind = self.draw.choice([kind for kind in FAULTS if is_early or kind != "dispatcher"])
                if self.strike(kind):
                    self.met[kind] += 1
                    next_s = now_s + self.draw.uniform(self.asked.every_s / 2, self.asked.every_s * 1.5)
            time.sleep(0.2)
        return time.monotonic() - began_s

    def processes(self) -> Iterator[tuple[str, int]]:
        """(kind, process id) of all there are."""
        yield "broker", self.broker.service.process.pid
        for name, process in self.cluster.processes.items():
            yield ("worker" if name in WORKERS else name), process.pid
            if name in WORKERS:
                yield from (("child", child) for child in self.cluster.children(name))

    def strike(self, kind: str) -> bool:
        """One fault: flush, pop, dispatcher, worker or child; False where there was nothing to strike."""
        if kind == "flush":
            return bool(self.broker.client.flushall())
        if kind == "pop":
            return bool(self.broker.client.lpop("cpu", max(1, self.broker.client.llen("cpu") // 2)))
        name = kind if kind == "dispatcher" else self.draw.choice(WORKERS.replace(SPARED, ""))
        found = self.cluster.children(name) if kind == "child" else [self.cluster.processes[name].pid]
        with contextlib.suppress(ProcessLookupError):
            for victim in found[:1]:
                os.kill(victim, signal.SIGKILL)
                return True
        return False


@dataclass(frozen=True)
class Verdict:
    """What came of a soak."""

    asked: Asked
    took_s: float
    n_done: int
    n_strips: int
    n_twice: int
    by_worker: dict[str, int]
    growths: list[Growth]

    def complaints(self) -> Iterator[str]:
        """What was not as it should be."""
        if self.n_done != self.asked.n_items:
            yield f"{self.asked.n_items - self.n_done:,} items are not done"
        if self.n_strips != self.asked.n_items:
            yield f"{self.n_strips:,} strips stand in the store"
        if self.n_twice:
            yield f"{self.n_twice:,} items were attempted without a fault and attempted again"
        if self.took_s < 60 * self.asked.minutes:
            yield f"the items were done after {self.took_s:.0f} s, before the time was over; give more --items"
        yield from (f"worker {name} did nothing" for name in WORKERS if f"{name}@chaos" not in self.by_worker)
        yield from (f"memory of a {growth.kind}: {growth.verdict}" for growth in self.growths if not growth.is_flat)


def items_by_worker(cluster: Machines, run: int) -> dict[str, int]:
    """Items by the worker that did them."""
    query = sa.select(Item.worker, sa.func.count()).where(Item.run_id == run).group_by(Item.worker)
    with cluster.session.database.read() as connection:
        return {worker or "": n for worker, n in connection.execute(query.order_by(Item.worker))}


def n_attempted_in_vain(cluster: Machines, run: int) -> int:
    """Items with other attempts than the last one and those that a fault, a loss or a death had ended."""
    explained = 1 + Item.faults + Item.lost_claims + Item.crashes
    query = sa.select(sa.func.count()).where(Item.run_id == run, Item.attempts != explained)
    with cluster.session.database.read() as connection:
        return int(connection.execute(query).scalar_one())


def soak(asked: Asked) -> Verdict:
    """Carries a run through a fault every so many seconds, and prints what was seen."""
    with (
        tempfile.TemporaryDirectory(prefix="chorus-soak-") as folder,
        servers.private_folder("chorus-soak") as sockets,
    ):
        data = Path(folder) / "data"
        data.mkdir()
        table = make_dataset(data, asked.n_items)
        with Broker(sockets) as broker, machines(Path(folder), broker.url, lease_s=20.0, concurrency=1) as cluster:
            run = submitted(cluster, table, Request(until="preprocess", trust_csv=True))
            for name in WORKERS:
                cluster.start_worker(name)
            cluster.start_dispatcher()
            under_way = Soak(asked, cluster, broker, random.Random(asked.seed))
            took_s = under_way.carry_out(run)
            n_done = status.item_counts(cluster.session.database, run)["done"]
            n_strips = sum(1 for _ in (cluster.session.store.folder / "strips").rglob("*.png"))
            by_worker = items_by_worker(cluster, run)
            print(f"{n_done:,} of {asked.n_items:,} items done in {took_s:.0f} s, {n_done / took_s:.0f} a second")
            print(f"by worker: {by_worker}; strips made {cluster.made().total():,} times")
            print(f"faults: {dict(under_way.met)}; the run met {faults(cluster.session.database, run).named()}")
            n_twice = n_attempted_in_vain(cluster, run)
            growths = under_way.meter.growths(asked.lived_s)
            print(*growths, sep="\n", flush=True)  # now, for to clear away so many files takes minutes
            return Verdict(asked, took_s, n_done, n_strips, n_twice, by_worker, growths)


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--items", type=int, default=400_000)
    options.add_argument("--minutes", type=float, default=15.0, help="of faults; the run goes on to its end")
    options.add_argument("--every-s", type=float, default=5.0, help="a fault, on average")
    options.add_argument("--lived-s", type=float, default=180.0, help="shortest life for a fit of the memory")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    verdict = soak(Asked(given.items, given.minutes, given.every_s, given.lived_s, given.seed))
    complaints = list(verdict.complaints())
    print("; ".join(complaints) if complaints else "nothing lost, nothing twice, memory flat within noise")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()

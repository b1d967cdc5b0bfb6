"""`/metrics` for Prometheus: the ledger and the queues, measured in a thread, so that a scrape waits for nobody.

Where the database or the broker is away, the last figures stand, and `chorus_up` says whose they are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from db.engine import Database
from db.queries.metrics import Gauges, Measured
from domain.errors import BrokerUnreachable, ChorusError
from orchestrator.broker import Sender
from settings import Settings
from workers.roles import QUEUE_OF_TASK, ROLES

_LOG = logging.getLogger("chorus")
_MEASURED_EVERY_S = 5.0
_PAUSE_PER_MEASURED_S = 19.0
"""However slow the database is, it is measured a twentieth of the time at most."""
_ASKED_EVERY_S = 15.0
"""Workers are asked by a message to all of them, which costs each a little."""


class MetricsUnusable(ChorusError):
    """The address cannot be listened on."""

    exit_code = 4


@dataclass(frozen=True)
class Queues:
    """The broker at one moment."""

    messages: dict[str, int]
    consumers: dict[str, int]
    workers: frozenset[str]
    """Names of those that answered."""


@dataclass
class Figures:
    """What was last found out, and when; nothing before the first time."""

    ledger: Measured | None = None
    ledger_at_s: float = float("-inf")
    queues: Queues | None = None
    queues_at_s: float = float("-inf")
    is_up: dict[str, bool] = field(default_factory=lambda: {"database": False, "broker": False})
    finished: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Only ever rises: what is tried again is taken out of the ledger's count, and was finished all the same."""
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, measured: Measured) -> None:
        """Notes the ledger as it is now."""
        for name, n in measured.finished.items():
            self.finished[name] += max(0, n - self._seen.get(name, 0))
        self._seen, self.ledger, self.ledger_at_s = measured.finished, measured, time.monotonic()


class Exporter:
    """Measures until stopped, and answers scrapes. Used as a context."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self.figures = settings, Figures()
        self._database = Database(settings.database)
        self._gauges, self._sender = Gauges(self._database), Sender(settings)
        self._ledger_took_s = deque([0.0], maxlen=2)
        self._over, self._one_at_a_time = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._measure_forever, name="metrics", daemon=True)
        self._server: Any = None

    def __enter__(self) -> Exporter:
        registry = CollectorRegistry()
        registry.register(_Shown(self.figures))
        try:
            self._server, _ = start_http_server(
                self._settings.metrics_port, self._settings.metrics_address, registry=registry
            )
        except OSError as error:
            where = f"{self._settings.metrics_address}:{self._settings.metrics_port}"
            raise MetricsUnusable(f"no metrics can be offered on {where}: {error.strerror or error}") from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)
        self._database.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def _measure_forever(self) -> None:
        while not self._over.is_set():
            self.measure()
            # One slow answer is a database that was just starting or a network's hiccup, two are its load.
            self._over.wait(max(_MEASURED_EVERY_S, _PAUSE_PER_MEASURED_S * min(self._ledger_took_s)))

    def measure(self) -> None:
        """Looks once; what does not answer is said to be down, in the figures and, when that is new, in the log."""
        with self._one_at_a_time:
            self._look("database", self._look_at_ledger)
            self._look("broker", self._look_at_queues)

    def _look(self, name: str, look: Any) -> None:
        try:
            look()
        except (ConnectionError, BrokerUnreachable) as error:
            if self.figures.is_up[name]:
                _LOG.warning("metrics: %s", error)
            self.figures.is_up[name] = False
        except Exception:  # a defect in a figure must not end the others, nor the dispatcher
            _LOG.exception("metrics of the %s cannot be measured", name)
            self.figures.is_up[name] = False
        else:
            self.figures.is_up[name] = True

    def _look_at_ledger(self) -> None:
        began_s = time.monotonic()
        self.figures.take(self._gauges.measured())
        self._ledger_took_s.append(time.monotonic() - began_s)

    def _look_at_queues(self) -> None:
        figures = self.figures
        messages = {queue: self._sender.queued(queue) for queue in ROLES}
        if figures.queues and time.monotonic() - figures.queues_at_s < _ASKED_EVERY_S:
            figures.queues = replace(figures.queues, messages=messages)
            return
        answering = self._sender.workers()
        served = Counter(queue for queues in answering.values() for queue in queues)
        figures.queues = Queues(messages, {queue: served[queue] for queue in ROLES}, frozenset(answering))
        figures.queues_at_s = time.monotonic()


class _Shown(Collector):
    """The figures as Prometheus reads them."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield _gauge("chorus_up", "Whether it answered when last asked", ["part"], figures.is_up.items())
        if figures.ledger:
            age_s = time.monotonic() - figures.ledger_at_s
            yield GaugeMetricFamily("chorus_ledger_age_seconds", "Since the ledger was measured", age_s)
            yield from _of_ledger(figures.ledger, figures.finished)
            yield _of_workers(figures.ledger, figures.queues.workers if figures.queues else frozenset())
        if figures.queues:
            messages, consumers = figures.queues.messages.items(), figures.queues.consumers.items()
            yield _gauge("chorus_queue_messages", "Messages that no worker has taken yet", ["queue"], messages)
            yield _gauge("chorus_consumers", "Workers that serve the queue", ["queue"], consumers)


def _of_ledger(seen: Measured, finished: Counter[tuple[str, str]]) -> Iterator[Metric]:
    yield _gauge("chorus_items", "Items of all runs by state", ["state"], seen.items.items())
    what = "Items (kind preprocess) and jobs of active runs that have not ended"
    yield _gauge("chorus_open", what, ["kind", "state"], seen.open.items())
    total = CounterMetricFamily(
        "chorus_items_finished", "Items (kind preprocess) and jobs that have ended", labels=["kind", "state"]
    )
    for names, n in sorted(finished.items()):
        total.add_metric(names, n)
    yield total
    yield CounterMetricFamily("chorus_attempts", "Claims taken of items and jobs", seen.attempts)
    yield CounterMetricFamily("chorus_lease_expiries", "Claims whose worker stopped answering", seen.lease_expiries)
    lost = seen.quarantined.items()
    yield _gauge("chorus_quarantined", "Items set aside, by the short name of their reason", ["reason"], lost)
    waiting = dict.fromkeys(ROLES, 0.0)
    for task, age_s in seen.oldest_waiting_s.items():
        waiting[QUEUE_OF_TASK[task]] = max(waiting[QUEUE_OF_TASK[task]], age_s)
    what = "How long the oldest that nobody has taken yet has been waiting, in the ledger or the broker"
    yield _gauge("chorus_oldest_waiting_seconds", what, ["queue"], waiting.items())
    epochs = [((str(job), model), epoch) for (job, model), epoch in seen.epochs.items()]
    yield _gauge("chorus_job_epoch", "Epochs finished by a training under way", ["job", "model"], epochs)


def _of_workers(seen: Measured, answering: frozenset[str]) -> Metric:
    """Of those that hold work or answer: a worker that is gone and holds nothing is nobody's trouble."""
    ages = [
        ((worker.name, worker.role), worker.progressed_age_s if worker.holds_work else 0.0)
        for worker in seen.workers
        if worker.progressed_age_s is not None and (worker.holds_work or worker.name in answering)
    ]
    what = "Since a worker that holds work went on with it: began, finished, or an epoch; 0 where it holds none"
    return _gauge("chorus_worker_progress_age_seconds", what, ["worker", "role"], ages)


def _gauge(name: str, what: str, labels: list[str], values: Iterable[tuple[Any, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=labels)
    for of, value in values:
        family.add_metric([of] if isinstance(of, str) else of, float(value))
    return family

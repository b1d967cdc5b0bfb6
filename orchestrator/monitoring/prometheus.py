"""`/metrics` for Prometheus: ledger and queues, measured in a thread, so that a scrape never waits for them.

While the database or the broker does not answer, the last values remain, and `chorus_up` shows which of them is down.
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
from db.queries.metrics import OTHER, Gauges, LedgerMetrics
from domain.errors import BrokerUnreachable, ChorusError
from domain.reasons import words_of
from orchestrator.broker import Sender
from settings import Settings
from workers.roles import QUEUE_OF_TASK, ROLES

_LOG = logging.getLogger("chorus")
_MEASURED_EVERY_S = 5.0
_PAUSE_PER_MEASURED_S = 19.0
"""A slow database is measured for at most a twentieth of the time."""
_ASKED_EVERY_S = 15.0
"""Asking costs a message to every worker."""


class MetricsUnusable(ChorusError):
    """The metrics address cannot be listened on."""

    exit_code = 4


@dataclass(frozen=True)
class Queues:
    """The queues at one moment."""

    messages: dict[str, int]
    consumers: dict[str, int]
    workers: frozenset[str]
    """Names of the workers that answered."""
    refused: dict[str, int] = field(default_factory=dict)
    """Messages that workers have removed, by reason."""


@dataclass
class Figures:
    """The last measured values and their times; empty before the first measurement."""

    ledger: LedgerMetrics | None = None
    ledger_at_s: float = float("-inf")
    queues: Queues | None = None
    queues_at_s: float = float("-inf")
    is_up: dict[str, bool] = field(default_factory=lambda: {"database": False, "broker": False})
    finished: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Never decreases, although a retry takes work out of the ledger's count of finished work."""
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, measured: LedgerMetrics) -> None:
        """Store a new measurement of the ledger."""
        for name, n in measured.finished.items():
            self.finished[name] += max(0, n - self._seen.get(name, 0))
        self._seen, self.ledger, self.ledger_at_s = measured.finished, measured, time.monotonic()


class Exporter:
    """Measures until stopped, and answers scrapes; used as a context."""

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
        registry.register(_FigureCollector(self.figures))
        try:
            self._server, _ = start_http_server(
                self._settings.metrics_port, self._settings.metrics_address, registry=registry
            )
        except OSError as error:
            where = f"{self._settings.metrics_address}:{self._settings.metrics_port}"
            raise MetricsUnusable(f"metrics cannot be served on {where}: {error.strerror or error}") from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)
        self._sender.close()
        self._database.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def _measure_forever(self) -> None:
        while not self._over.is_set():
            self.measure()
            # One slow answer may be a starting database or a network problem; two slow answers are load.
            self._over.wait(max(_MEASURED_EVERY_S, _PAUSE_PER_MEASURED_S * min(self._ledger_took_s)))

    def measure(self) -> None:
        """Measure once. A part that does not answer is marked as down; the first failure is logged."""
        with self._one_at_a_time:
            self._try("database", self._measure_ledger)
            self._try("broker", self._measure_queues)

    def _try(self, name: str, measure: Any) -> None:
        try:
            measure()
        except (ConnectionError, BrokerUnreachable) as error:
            if self.figures.is_up[name]:
                _LOG.warning("metrics: %s", error)
            self.figures.is_up[name] = False
        except Exception:  # a bug in one metric must not stop the others or the dispatcher
            _LOG.exception("metrics of the %s cannot be measured", name)
            self.figures.is_up[name] = False
        else:
            self.figures.is_up[name] = True

    def _measure_ledger(self) -> None:
        began_s = time.monotonic()
        self.figures.take(self._gauges.measure())
        self._ledger_took_s.append(time.monotonic() - began_s)

    def _measure_queues(self) -> None:
        figures = self.figures
        messages, refused = {queue: self._sender.queued(queue) for queue in ROLES}, self._sender.refused()
        if figures.queues and time.monotonic() - figures.queues_at_s < _ASKED_EVERY_S:
            figures.queues = replace(figures.queues, messages=messages, refused=refused)
            return
        answering = self._sender.workers()
        served = Counter(queue for queues in answering.values() for queue in queues)
        consumers = {queue: served[queue] for queue in ROLES}
        figures.queues = Queues(messages, consumers, frozenset(answering), refused)
        figures.queues_at_s = time.monotonic()


class _FigureCollector(Collector):
    """Converts the figures into metrics that Prometheus reads."""

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
            what = "Messages that workers refused and removed since the broker was last emptied"
            total = CounterMetricFamily("chorus_refused_messages", what, labels=["reason"])
            for why, n in sorted(figures.queues.refused.items()):
                total.add_metric([why], n)
            yield total


def _of_ledger(seen: LedgerMetrics, finished: Counter[tuple[str, str]]) -> Iterator[Metric]:
    yield _gauge("chorus_items", "Items of all runs by state", ["state"], seen.items.items())
    what = "Items (kinds preprocess and predict) and jobs of active runs that have not ended"
    yield _gauge("chorus_open", what, ["kind", "state"], seen.open.items())
    total = CounterMetricFamily(
        "chorus_items_finished",
        "Items (kinds preprocess and predict) and jobs that have ended",
        labels=["kind", "state"],
    )
    for names, n in sorted(finished.items()):
        total.add_metric(names, n)
    yield total
    yield CounterMetricFamily("chorus_attempts", "Claims taken of items and jobs", seen.attempts)
    yield CounterMetricFamily("chorus_lease_expiries", "Claims whose worker stopped answering", seen.lease_expiries)
    lost = [((code if code == OTHER else words_of(code), code), n) for code, n in seen.quarantined.items()]
    what = "Quarantined items by the short name of their reason and its code"
    yield _gauge("chorus_quarantined", what, ["reason", "reason_code"], lost)
    waiting = dict.fromkeys(ROLES, 0.0)
    for task, age_s in seen.oldest_waiting_s.items():
        waiting[QUEUE_OF_TASK[task]] = max(waiting[QUEUE_OF_TASK[task]], age_s)
    what = "Age of the oldest waiting item or job, in the ledger or the broker"
    yield _gauge("chorus_oldest_waiting_seconds", what, ["queue"], waiting.items())
    epochs = [((str(job), model), epoch) for (job, model), epoch in seen.epochs.items()]
    yield _gauge("chorus_job_epoch", "Epochs finished by a training under way", ["job", "model"], epochs)


def _of_workers(seen: LedgerMetrics, answering: frozenset[str]) -> Metric:
    """Workers that hold work or answer. A worker that is gone and holds no work needs no attention."""
    ages = [
        ((worker.name, worker.role), worker.progressed_age_s if worker.holds_work else 0.0)
        for worker in seen.workers
        if worker.progressed_age_s is not None and (worker.holds_work or worker.name in answering)
    ]
    what = "Since the last progress of a worker that holds work: a start, an end or an epoch; 0 if it holds none"
    return _gauge("chorus_worker_progress_age_seconds", what, ["worker", "role"], ages)


def _gauge(name: str, what: str, labels: list[str], values: Iterable[tuple[Any, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=labels)
    for of, value in values:
        family.add_metric([of] if isinstance(of, str) else of, float(value))
    return family

"""The results of runs as pandas tables. Nothing in the home is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import chain
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from dawn_chorus.shard_dataset import SUBSETS, shard_dataset, whole_file
from db.queries.job_inputs import PlannedRun
from db.queries.run_recordings import run_recordings
from db.queries.status import metrics, run_lines, unusable_rows
from domain.errors import UsageError
from domain.results import CollectResult
from domain.states import Kind, RunKind, State
from domain.stored_file import StoredFile
from domain.subsets import Subset
from orchestrator.prediction_tables import TableRequest, collected_scores, planned_thresholds, table_options
from orchestrator.progress import Snapshot, fold_number, snapshot
from orchestrator.session import Session, open_read_only, settings_from
from tasks.detections.detection import detections_of_each
from tasks.detections.detection_tables import Threshold, ThresholdSource, rules_of
from tasks.detections.formats import COLUMNS, TablePlace, csv_rows, wording_of
from tasks.detections.origin import Origins
from tasks.detections.score_file import read_scores

_RECORDINGS = {
    "recording": "str", "label": "str", "group": "str", "fold": "Int64", "subset": "str", "duration_s": "float64",
    "state": "str", "reason": "str",
}  # fmt: skip
_OF_SPLIT = ["label", "group", "fold", "subset"]
_METRICS = {
    "task": "str", "model": "str", "variant": "str", "seed": "Int64", "fold": "Int64", "epoch": "int64",
    "metric": "str", "value": "float64",
}  # fmt: skip


def open_home(path: str | Path | None = None) -> OpenHome:
    """Open a home for reading.

    path: the folder that `--home` names; None: the variable CHORUS_HOME, or `.chorus` in the working directory. A
    ledger or store elsewhere is named by the same CHORUS_ variables as for the command line.
    Raises: ChorusError if there is no ledger, or one of another version.

    >>> open_home("no such folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    domain.errors.HomeUnusable: there is no ledger in ...no such folder yet; ...
    """
    return OpenHome(open_read_only(settings_from({"home": path})))


class OpenHome:
    """A home, open for reading; made by `open_home`.

    session: for this package. Nothing is held open between two calls. A store on S3 is read through the home's cache.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def __repr__(self) -> str:
        return f"open_home({str(self.session.settings.home)!r})"

    def runs(self) -> pd.DataFrame:
        """Return all runs, newest first: id, state, dataset, models, created_at and finished_at in UTC."""
        table = pd.DataFrame([asdict(line) for line in run_lines(self.session.database)], columns=list(_RUNS))
        return typed(table, _RUNS)

    def run(self, number: int) -> RunTables:
        """Return the tables of one run. Raises: ChorusError if there is no such run."""
        return RunTables(self.session, snapshot(self.session.database, number).run)


_RUNS = {
    "id": "int64", "state": "str", "dataset": "str", "models": "object", "created_at": "utc", "finished_at": "utc",
}  # fmt: skip


class RunTables:
    """The tables of one run; made by `OpenHome.run`.

    id: its number.  kind: "train" or "predict".  state: of the run when this was made, such as "active" or "done".
    labels: its classes, in the order of the scores and of the shards' numbers.  session: for this package.
    Tables are whole in memory.
    """

    def __init__(self, session: Session, run: PlannedRun) -> None:
        self.session = session
        self.id, self.kind, self.state, self.labels = run.id, run.kind, run.state, run.labels

    def __repr__(self) -> str:
        return f"<run {self.id}: {self.kind}, {self.state}>"

    def detections(
        self,
        threshold: float | Mapping[str, float] | pd.Series | None = None,
        *,
        top_n: int | None = None,
        merge_gap_s: float | None = None,
        names: str | Path | None = None,
        timezone: str | None = None,
        sites: str | Path | None = None,
    ) -> pd.DataFrame:
        """Return the detections of a finished prediction, as `orchestrator detections` writes them to detections.csv.

        threshold: lowest score of a detection, 0 to 1, or one by class; None, and classes that are not named: the
        default of the command.  The others: as the options of the command.
        Columns: recording, start_s, end_s (s, from the start of the recording), label, scientific_name, common_name,
        score (0 to 1), recorded_at_utc (UTC), site, model, recorded_at_local (text, with its offset if it is known);
        unknown values are missing.
        Raises: ChorusError if the run predicts nothing or is not finished, or if an option is wrong.
        """
        found = self._collected()
        by_class = dict(threshold) if isinstance(threshold, Mapping | pd.Series) else None
        if threshold is not None and by_class is None and not isinstance(threshold, Real):
            raise UsageError(f"the threshold is {threshold!r:.60}; give a number from 0 to 1, or one by class")
        request = TableRequest(
            threshold=float(threshold) if isinstance(threshold, Real) else None,
            top_n=top_n,
            merge_gap_s=merge_gap_s,
            names=Path(names) if names is not None else None,
            timezone=timezone,
            sites=Path(sites) if sites is not None else None,
        )
        options = table_options(self.labels, found.sha256, request, planned_thresholds(self._seen().run))
        if by_class is not None:
            options = replace(options, thresholds=self._by_class(by_class, options.thresholds))
        with self._scores_file(found) as file:
            facts, recordings = read_scores(file.path)
            wording, rules = wording_of(facts, options.names), rules_of(facts, options)
            origins = Origins(options.zone, options.sites)
            rows = chain.from_iterable(
                csv_rows(wording, recording, each, TablePlace(origin=origins.of(recording)))
                for recording, each in detections_of_each(recordings, rules)
            )
            table = pd.DataFrame(rows, columns=list(COLUMNS))
        return typed(table.replace("", None), _DETECTIONS)

    def scores(self) -> pd.DataFrame:
        """Return the scores of every window of a finished prediction that is not silent.

        Columns: recording, start_s and end_s (float64, in s), then one for each class (float32, 0 to 1).
        Raises: ChorusError if the run predicts nothing or is not finished.
        """
        with self._scores_file(self._collected()) as file:
            facts, _ = read_scores(file.path)
            found = pq.read_table(file.path, columns=["uri", "duration_s", "start_s", "scores"])
        found = found.filter(found["start_s"].is_valid())
        starts_s = found["start_s"].to_numpy()
        places = {
            "recording": found["uri"].to_pandas(),
            "start_s": starts_s,
            "end_s": np.fmin(starts_s + facts.window_s, found["duration_s"].to_numpy()),
        }
        values = found["scores"].combine_chunks().flatten().to_numpy().reshape(-1, len(facts.labels))
        return windows(places, values, facts.labels)

    def metrics(self) -> pd.DataFrame:
        """Return the figures of all trainings and evaluations of the run, also while it is trained.

        Columns: task ("train" or "evaluate"), model, variant (of an ablation), seed, fold, epoch (from 1; 0: of the
        whole task), metric, value.
        Raises: ChorusError if the run is a prediction.
        """
        self._require_training("metrics")
        rows = [
            (job.kind, job.model, job.variant, job.seed, fold_number(job.fold), epoch, name, value)
            for job in self._seen().jobs
            if job.kind in (Kind.TRAIN, Kind.EVALUATE)
            for epoch, name, value in metrics(self.session.database, job.id)
        ]
        return typed(pd.DataFrame(rows, columns=list(_METRICS)), _METRICS)

    def recordings(self) -> pd.DataFrame:
        """Return the recordings of the run and what became of them, then rows of the data that name no usable one.

        Columns: recording; label, group, fold and subset, of a training; duration_s (as planned), state ("done",
        "used_in_part", "quarantined", "failed", "cancelled", or one of work that goes on), reason.
        With folds, a recording is tested in its fold, and its subset is that in the other folds.
        """
        database = self.session.database
        rows: list[tuple[Any, ...]] = [
            (
                each.uri, each.label, each.group, fold_number(each.fold), SUBSETS[Subset(each.subset)],
                each.n_frames / each.rate_hz if each.n_frames and each.rate_hz else None, each.state, each.reason,
            )
            for each in run_recordings(database, self.id)
        ]  # fmt: skip
        rows += [
            (row.uri or f"line {row.line}", *[None] * 5, State.QUARANTINED.value, row.reason)
            for row in unusable_rows(database, self.id)
        ]
        table = typed(pd.DataFrame(rows, columns=list(_RECORDINGS)), _RECORDINGS)
        return table.drop(columns=_OF_SPLIT) if self.kind == RunKind.PREDICT else table

    def shards(self, preset: str | None = None) -> ds.Dataset:
        """Return the examples of a training as a pyarrow dataset; the files are compared with their digests first.

        preset: name of the preset, needed if the models of the run have several.
        Columns: fold (null without folds) and subset, then those of docs/reference/formats.md; `label` is the number
        of a class in `labels`. A spectrogram is one byte per point; `schema.metadata[b"shape"]` of the dataset is its
        shape (mel, frame) as JSON.
        Raises: ChorusError if the run is a prediction, or if its shards are not all packed.
        """
        self._require_training("shards")
        return shard_dataset(self.session, self._seen(), preset)

    def _seen(self) -> Snapshot:
        return snapshot(self.session.database, self.id)

    def _collected(self) -> CollectResult:
        return collected_scores(self._seen())

    @contextmanager
    def _scores_file(self, found: CollectResult) -> Iterator[StoredFile]:
        with self.session.store.local_files() as local_file:
            yield whole_file(local_file, found.key, found.sha256, self.id)

    def _require_training(self, what: str) -> None:
        if self.kind == RunKind.PREDICT:
            raise UsageError(f"run {self.id} is a prediction and has no {what}; ask the run that trained its model")

    def _by_class(self, own: Mapping[str, float], others: Sequence[Threshold]) -> list[Threshold]:
        if unknown := [label for label in own if label not in self.labels]:
            raise UsageError(
                f"there is a threshold for {', '.join(unknown)!s:.200}, but run {self.id} has the classes "
                f"{', '.join(self.labels)!s:.500}"
            )
        pairs = zip(self.labels, others, strict=True)
        return [
            Threshold(float(own[label]), "by class", ThresholdSource.OPTION) if label in own else other
            for label, other in pairs
        ]


_DETECTIONS = {
    **dict.fromkeys(COLUMNS, "str"), "start_s": "float64", "end_s": "float64", "score": "float64",
    "recorded_at_utc": "utc",
}  # fmt: skip


def windows(places: Mapping[str, Any], scores: Any, labels: Sequence[str]) -> pd.DataFrame:
    """Return a table of windows: the columns of `places`, and one for each class.

    scores: (n, classes) float32.

    >>> windows({"start_s": [0.0], "end_s": [3.5]}, [[0.75, 0.25]], ("robin", "wren"))
       start_s  end_s  robin  wren
    0      0.0    3.5   0.75  0.25
    """
    by_class = pd.DataFrame(scores, columns=list(labels), dtype=np.float32)
    return pd.concat([pd.DataFrame(dict(places)), by_class], axis=1)


def typed(table: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """Give the columns their types, also those of a table without rows. "utc": a time with a zone."""
    plain = {name: type_ for name, type_ in types.items() if type_ != "utc"}
    table = table.astype(plain)
    for name in types.keys() - plain.keys():
        is_number = pd.api.types.is_numeric_dtype(table[name])
        how: dict[str, Any] = {"unit": "s"} if is_number else {"format": "ISO8601"}
        table[name] = pd.to_datetime(table[name], utc=True, **how)
    return table

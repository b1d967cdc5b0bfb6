"""The commands that predict recordings, and write tables of their detections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.finish import finish
from orchestrator.cli.options import AsJson, Remote, RunId, with_settings
from orchestrator.cli.output import OK, SOME_QUARANTINED, open_session, planning_reporter, print_json, say, show, view

if TYPE_CHECKING:
    from db.engine import Database
    from orchestrator.planning.model_choice import ChosenModel
    from orchestrator.planning.prediction_plan import PredictionRequest
    from orchestrator.prediction_tables import TableRequest
    from orchestrator.session import Session
    from settings import Settings
    from tasks.dataset.layouts import Layout

app = typer.Typer(rich_markup_mode=None)


@dataclass(frozen=True)
class TableChoices:
    """The options of tables, as typed."""

    out: Annotated[
        Path | None, typer.Option(help="Folder of the tables.  [predictions/RUN in the home]", file_okay=False)
    ] = None
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="Tables, separated by commas: csv, raven, audacity, parquet, kaleidoscope, birdnet."
        ),
    ] = "csv"
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Lowest score of a detection, for every class.  [by class: precision, else 0.5]",
            min=0.0,
            max=1.0,
        ),
    ] = None
    thresholds: Annotated[
        Path | None, typer.Option(help="A csv of thresholds: label, threshold.", exists=True, dir_okay=False)
    ] = None
    top: Annotated[int | None, typer.Option(help="Most classes per window.  [all]", min=1)] = None
    merge_gap: Annotated[
        float | None,
        typer.Option(help="Join detections of a class at most so many seconds apart.  [none]", min=0.0, max=86_400.0),
    ] = None
    per_recording: Annotated[bool, typer.Option("--per-recording", help="Also write a table for each recording.")] = (
        False
    )
    names: Annotated[
        Path | None,
        typer.Option(help="A csv of names: label, scientific_name, common_name, code.", exists=True, dir_okay=False),
    ] = None
    sites: Annotated[
        Path | None,
        typer.Option(
            help="A csv of sites: site, folder or recording, timezone.  [the folders]", exists=True, dir_okay=False
        ),
    ] = None
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="Zone of recordings that name none: Europe/Berlin, UTC or +01:00.  [unknown]"
        ),
    ] = None

    def request(self) -> TableRequest:
        """The tables to write."""
        from orchestrator.prediction_tables import TableRequest  # noqa: PLC0415

        formats = tuple(name.strip() for name in self.format_.split(",") if name.strip())
        return TableRequest(
            folder=self.out, formats=formats, threshold=self.threshold, thresholds=self.thresholds, top_n=self.top,
            merge_gap_s=self.merge_gap, per_recording=self.per_recording, names=self.names, sites=self.sites,
            timezone=self.timezone,
        )  # fmt: skip


@dataclass(frozen=True)
class PredictionChoices:
    """The options of `predict` beside those of its tables, as typed."""

    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="A recording, a folder, a csv of paths, or s3://BUCKET/PREFIX."),
    ]
    model: Annotated[
        str,
        typer.Option(
            metavar="RUN[:MODEL[:foldN]]|FILE",
            help="Run whose model predicts; add :MODEL, or :MODEL:foldN, to choose one. Or an exported network, or a "
            "folder of them.",
        ),
    ]
    overlap: Annotated[
        float, typer.Option(help="Seconds that a window shares with the next one, up to 9/10 of it.", min=0.0)
    ] = 0.0
    trust_csv: Annotated[
        bool, typer.Option("--trust-csv", help="Plan from the csv alone; workers read the files later.")
    ] = False
    path_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the csv that holds the paths.  [known names]")
    ] = None
    remote: Remote = False
    watch: Annotated[bool, typer.Option("--watch", help="With --remote: follow the run.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.")] = False
    as_json: AsJson = False


@app.command()
@with_settings
def predict(settings: Settings, choices: PredictionChoices, table_choices: TableChoices) -> None:
    """Apply a trained model to new recordings.

    Writes tables of the detections.
    Scores are kept: `detections` writes other tables from them, with other thresholds, at once.
    """
    from orchestrator.execution.run import run_here  # noqa: PLC0415
    from orchestrator.home import has_ledger  # noqa: PLC0415
    from orchestrator.planning.model_choice import chosen_model, validated_thresholds  # noqa: PLC0415
    from orchestrator.planning.network_files import ModelOfFiles, model_of_files, names_a_file  # noqa: PLC0415
    from orchestrator.prediction_tables import require_writable  # noqa: PLC0415

    _require_sense(choices, table_choices)
    tables = table_choices.request()
    # A model of a file needs no home that trained it.
    found = model_of_files(choices.model) if names_a_file(choices.model) else None
    if found and choices.dry_run and not has_ledger(settings):
        _dry_run(None, *_prepared(settings, choices, found.model), as_json=choices.as_json)
        return
    session = open_session(settings, make=found is not None and not choices.dry_run)
    found = found or ModelOfFiles(chosen_model(session.database, choices.model), {})
    layout, request = _prepared(settings, choices, found.model)
    require_writable(request.model.labels, tables)
    if choices.dry_run:
        _dry_run(session.database, layout, request, as_json=choices.as_json)
        return
    session.store.require_reachable()
    found.put_into(session.store)
    request = replace(request, thresholds=validated_thresholds(session.store, request.model))
    if choices.remote:
        followed = tables if choices.watch else None
        _predict_elsewhere(session, layout, request, followed, as_json=choices.as_json)
        return
    if not settings.is_broker_embedded:
        from orchestrator.broker import require_broker  # noqa: PLC0415

        require_broker(settings, say)
    number = run_here(session, lambda: _submit(session, layout, request), view())
    finish(session, number, as_json=choices.as_json, tables=tables)


def _require_sense(choices: PredictionChoices, table_choices: TableChoices) -> None:
    """Refuse options that would have no effect. Raises: UsageError."""
    from domain.errors import UsageError  # noqa: PLC0415

    if choices.watch and not choices.remote:
        raise UsageError("--watch follows a run that workers elsewhere do; add --remote, or leave it out")
    if choices.remote and not choices.watch and table_choices != TableChoices():
        raise UsageError("--remote alone writes no tables; add --watch, or give these options to `detections` later")


def _predict_elsewhere(
    session: Session, layout: Layout, request: PredictionRequest, tables: TableRequest | None, *, as_json: bool
) -> None:
    """Leave the work to a dispatcher and workers. tables: to write at the end of the run; None: do not follow it."""
    from orchestrator.broker import require_broker  # noqa: PLC0415
    from orchestrator.execution.run import follow  # noqa: PLC0415
    from orchestrator.execution.serve import require_dispatcher  # noqa: PLC0415
    from orchestrator.monitoring.summary import summary  # noqa: PLC0415
    from orchestrator.monitoring.workers import unserved  # noqa: PLC0415

    require_broker(session.settings, say)
    require_dispatcher(session.settings)
    number = _submit(session, layout, request)
    missing = unserved(session, number)
    for sentence in missing:
        say(sentence)
    if tables is not None:
        with view() as progress:
            follow(session, number, progress)
        finish(session, number, as_json=as_json, tables=tables)
    if as_json:
        print_json({**summary(session.database, session.store, number), "unserved": missing})
    say(f"when it has ended, write its tables with: {session.settings.command(f'detections {number}')}")


def _submit(session: Session, layout: Layout, request: PredictionRequest) -> int:
    from orchestrator.planning.prediction_plan import submit_prediction  # noqa: PLC0415
    from orchestrator.prediction_tables import training_data_warnings  # noqa: PLC0415

    planned = submit_prediction(session.database, layout, request, planning_reporter())
    warnings = training_data_warnings(session.database, planned.run)
    for line in (*planned.lines, *(f"warning: {warning}" for warning in warnings)):
        say(line)
    say(f"run {planned.run}: {_work(planned.n_recordings, planned.n_items)}")
    return planned.run


def _prepared(settings: Settings, choices: PredictionChoices, model: ChosenModel) -> tuple[Layout, PredictionRequest]:
    """The recordings, and the model with the overlap that is asked for."""
    from orchestrator.planning.planner import dataset_at  # noqa: PLC0415
    from orchestrator.planning.prediction_plan import PredictionRequest  # noqa: PLC0415
    from tasks.dataset.layouts.unlabelled import open_recordings  # noqa: PLC0415

    place = dataset_at(choices.path, settings)
    layout = open_recordings(place, is_trusted=choices.trust_csv, path_column=choices.path_column)
    shown = str(place.absolute()) if isinstance(place, Path) else str(place)
    model = replace(model, pipeline=replace(model.pipeline, overlap_s=choices.overlap))
    return layout, PredictionRequest(model, shown, choices.trust_csv)


def _work(n_recordings: int, n_spans: int) -> str:
    from domain.plural import counted  # noqa: PLC0415

    return f"{counted(n_recordings, 'recording')}, {counted(n_spans, 'span')}"


def _dry_run(database: Database | None, layout: Layout, request: PredictionRequest, *, as_json: bool) -> None:
    from orchestrator.planning.prediction_plan import dry_prediction  # noqa: PLC0415

    found = dry_prediction(database, layout, request, planning_reporter())
    if as_json:
        pipeline = request.model.pipeline
        return print_json({
            "model": request.model.name, "choice": request.model.choice,
            "window_s": pipeline.preset.chunk.duration_s, "overlap_s": pipeline.overlap_s,
            "recordings": found.n_recordings, "spans": found.n_items, "lines": found.lines,
        })  # fmt: skip
    return show([*found.lines, f"{_work(found.n_recordings, found.n_items)} to predict"])


@app.command()
@with_settings
def detections(settings: Settings, run: RunId, choices: TableChoices, *, as_json: AsJson = False) -> None:
    """Write other tables of a finished prediction.

    They are made from its scores: no inference is run. Options that `predict` was given must be given again.
    """
    from orchestrator.prediction_tables import write_detections  # noqa: PLC0415

    tables = write_detections(open_session(settings, make=False), run, choices.request())
    if as_json:
        print_json(tables.as_dict())
    else:
        show(tables.lines())
    raise typer.Exit(SOME_QUARANTINED if tables.written.n_quarantined else OK)


@app.command()
@with_settings
def export(
    settings: Settings,
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN[:MODEL[:foldN]]", help="Trained model, as for `predict`; RUN: the recommended one."
        ),
    ],
    to: Annotated[str, typer.Option(help="Format: onnx.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="Folder of the files.  [.]", file_okay=False)] = None,
) -> None:
    """Write the networks of a trained model as files.

    ONNX Runtime opens them; `predict --model FILE` uses them in another home.
    """
    from domain.errors import UsageError  # noqa: PLC0415
    from orchestrator.planning.model_choice import chosen_model  # noqa: PLC0415
    from orchestrator.planning.network_files import export_networks  # noqa: PLC0415

    if to != "onnx":
        raise UsageError(f"networks cannot be exported to {to!r:.40}; the format is onnx")
    session = open_session(settings, make=False)
    chosen = chosen_model(session.database, model)
    say(f"model: {chosen.choice}")
    show(map(str, export_networks(session.store, chosen, out or Path())))

"""The command line: parses options and prints results. Slow imports are inside the functions that need them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli import predictions, services
from orchestrator.cli.exit_codes import exit_code
from orchestrator.cli.finish import finish
from orchestrator.cli.options import AsJson, FlowerPort, Remote, RunId, RunOptions, with_settings
from orchestrator.cli.output import FAILED, open_session, planning_reporter, print_json, say, show, view

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.planning.request import Request
    from orchestrator.session import Session
    from settings import Settings
    from tasks.dataset.bucket import Bucket

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Turns labelled recordings into trained, honestly evaluated classifiers.",
)  # fmt: skip


def _version(is_asked: bool) -> None:  # noqa: FBT001  # called by click
    if is_asked:
        from importlib.metadata import version  # noqa: PLC0415

        show([version("dawn-chorus")])
        raise typer.Exit


@app.callback()
def _program(
    *,
    version: Annotated[  # its callback has answered
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run a command; an error becomes one sentence on stderr and an exit code."""
    from domain.logs import escape_control_characters  # noqa: PLC0415

    escape_control_characters()
    sys.exit(exit_code(app))


def _request_of(options: RunOptions) -> Request:
    from orchestrator.planning.candidates import ablated  # noqa: PLC0415
    from orchestrator.planning.request import (  # noqa: PLC0415
        Request,
        device_name,
        feature_set,
        folder_names,
        last_stage,
        model_names,
        seed_numbers,
    )

    request = Request(
        seeds=seed_numbers(options.seed, options.seeds),
        models=model_names(options.models),
        until=last_stage(options.until),
        n_folds=options.folds,
        split_seed=options.split_seed,
        preset=options.preset,
        training={} if options.epochs is None else {"epochs": options.epochs},
        trust_csv=options.trust_csv,
        leak_meter=options.leak_meter,
        drop_leaks=options.drop_leaks,
        class_folders=folder_names(options.class_folders),
        path_column=options.path_column,
        label_column=options.label_column,
        allow_empty_classes=options.allow_empty_classes,
        device=device_name(options.device),
        features=feature_set(options.features),
    )
    return ablated(request, options.ablate)


@app.command()
@with_settings
def run(
    settings: Settings,
    options: RunOptions,
    *,
    flower: Annotated[bool, typer.Option("--flower", help="Start the Flower monitor on 127.0.0.1.")] = False,
    flower_port: FlowerPort = 5555,
) -> None:
    """Plan a dataset and do all the work on this machine.

    Preprocesses, packs, trains, evaluates and writes the report.
    """
    from orchestrator.broker import require_broker  # noqa: PLC0415
    from orchestrator.execution.serve import require_gpu_where_wanted  # noqa: PLC0415

    request = _request_of(options)
    if options.dry_run:
        return _dry_run(settings, options, request)
    place = _dataset(settings, options.path, request)
    require_gpu_where_wanted(settings, request.device)
    session = open_session(settings)
    session.store.require_reachable()
    if not settings.is_broker_embedded:
        require_broker(settings, say)
    port = flower_port if flower else None
    return _execute(session, lambda: _submit(session, place, request), as_json=options.as_json, flower_port=port)


def _dataset(settings: Settings, path: str, request: Request) -> Path | Bucket:
    """The dataset's place. A path that is no dataset is refused before a home is created."""
    from orchestrator.planning.planner import dataset_at, opened_layout  # noqa: PLC0415

    place = dataset_at(path, settings)
    opened_layout(place, request)
    return place


def _dry_run(settings: Settings, options: RunOptions, request: Request) -> None:
    from orchestrator.home import has_ledger  # noqa: PLC0415
    from orchestrator.planning.dry_run import SHOWN_BAD_ROWS, dry_run  # noqa: PLC0415
    from orchestrator.planning.planner import dataset_at  # noqa: PLC0415

    database = open_session(settings).database if has_ledger(settings) else None
    most_bad_rows = None if options.as_json else SHOWN_BAD_ROWS
    found = dry_run(database, dataset_at(options.path, settings), request, planning_reporter(), most_bad_rows)
    if options.as_json:
        return print_json(found.values())
    return show(found.lines())


def _submit(session: Session, place: Path | Bucket, request: Request) -> int:
    from domain.plural import counted  # noqa: PLC0415
    from orchestrator.planning.submit import submit  # noqa: PLC0415

    planned = submit(session.database, place, request, planning_reporter())
    for line in planned.lines:
        say(line)
    say(f"run {planned.run}: {counted(planned.n_recordings, 'recording')}, {counted(planned.n_items, 'item')}")
    return planned.run


def _execute(
    session: Session, begin: Callable[[], int], *, as_json: bool, flower_port: int | None = None, tables: bool = False
) -> None:
    from orchestrator.execution.run import run_here  # noqa: PLC0415

    number = run_here(session, begin, view(), flower_port)
    if tables and not as_json:
        from orchestrator.monitoring.result import classification_tables  # noqa: PLC0415  # two seconds of scikit-learn

        show(classification_tables(session, number).splitlines())
    finish(session, number, as_json=as_json)


@app.command()
@with_settings
def submit(
    settings: Settings,
    options: RunOptions,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run.")] = False,
) -> None:
    """Plan a dataset; other processes do the work.

    A dispatcher and workers must run elsewhere.
    """
    from orchestrator.broker import require_broker  # noqa: PLC0415
    from orchestrator.execution.serve import require_dispatcher  # noqa: PLC0415
    from orchestrator.monitoring.workers import unserved  # noqa: PLC0415

    request = _request_of(options)
    if options.dry_run:
        return _dry_run(settings, options, request)
    place = _dataset(settings, options.path, request)
    session = open_session(settings)
    session.store.require_reachable()
    require_broker(settings, say)
    require_dispatcher(settings)
    number = _submit(session, place, request)
    missing = unserved(session, number)
    for sentence in missing:
        say(sentence)
    if watch:
        return _follow(session, number, as_json=options.as_json)
    if options.as_json:
        from orchestrator.monitoring.summary import summary  # noqa: PLC0415

        print_json({**summary(session.database, session.store, number), "unserved": missing})
    return say(f"follow it with: {settings.command(f'watch {number}')}")


def _follow(session: Session, number: int, *, as_json: bool) -> None:
    from orchestrator.execution.run import follow  # noqa: PLC0415

    with view() as progress:
        follow(session, number, progress)
    finish(session, number, as_json=as_json)


@app.command()
@with_settings
def watch(settings: Settings, run: RunId, *, as_json: AsJson = False) -> None:
    """Follow a run. Ctrl-C stops watching; the work continues."""
    from orchestrator.execution.serve import interrupted_run_lines  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415

    session = open_session(settings, make=False)
    for line in interrupted_run_lines(settings, run, snapshot(session.database, run).run.state):
        say(line)
    _follow(session, run, as_json=as_json)


@app.command()
@with_settings
def status(settings: Settings, run: RunId, *, as_json: AsJson = False) -> None:
    """Print the state, scores and problems of a run."""
    from domain.states import RunState  # noqa: PLC0415
    from orchestrator.cli.terminal import result_lines  # noqa: PLC0415
    from orchestrator.execution.serve import interrupted_run_lines  # noqa: PLC0415
    from orchestrator.monitoring.summary import summary  # noqa: PLC0415
    from orchestrator.monitoring.workers import unserved  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415

    session = open_session(settings, make=False)
    state = snapshot(session.database, run).run.state
    found = summary(session.database, session.store, run)
    interrupted = interrupted_run_lines(settings, run, state)
    missing = unserved(session, run) if state == RunState.ACTIVE and not interrupted else []
    if as_json:
        return print_json({**found, "unserved": missing})
    return show([*result_lines(found, settings.command), *interrupted, *missing])


@app.command()
@with_settings
def runs(settings: Settings, *, as_json: AsJson = False) -> None:
    """List all runs, newest first."""
    from dataclasses import asdict  # noqa: PLC0415

    from db.queries.status import run_lines  # noqa: PLC0415

    lines = run_lines(open_session(settings, make=False).database)
    if as_json:
        return print_json({"runs": [asdict(line) for line in lines]})
    return show(f"{line.id:>5}  {line.state:<10}  {', '.join(line.models):<12}  {line.dataset}" for line in lines)


@app.command()
@with_settings
def resume(
    settings: Settings,
    run: RunId,
    *,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Continue a paused, interrupted or cancelled run."""
    from orchestrator.execution.run import resume_run  # noqa: PLC0415

    session = open_session(settings, make=False)
    if remote:
        return say(f"run {resume_run(session, run)} is continued by the dispatcher")
    return _execute(session, lambda: resume_run(session, run), as_json=as_json)


@app.command()
@with_settings
def retry(
    settings: Settings,
    run: RunId,
    *,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Try quarantined, failed and cancelled work again."""
    from orchestrator.execution.run import retry_run  # noqa: PLC0415

    session = open_session(settings, make=False)
    if remote:
        return say(f"run {retry_run(session, run)} is continued by the dispatcher")
    return _execute(session, lambda: retry_run(session, run), as_json=as_json)


@app.command()
@with_settings
def cancel(settings: Settings, run: RunId) -> None:
    """Cancel a run. Finished work is kept."""
    from db.ledger import control  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415

    session = open_session(settings, make=False)
    state = snapshot(session.database, run).run.state
    cancelled = control.cancel(session.database, run)
    say(f"run {run} is cancelled" if cancelled else f"run {run} is {state}; there is nothing to cancel")


@app.command()
@with_settings
def report(
    settings: Settings,
    run: RunId,
    *,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Print the path of a run's report.

    A report on S3 is copied into the home first.
    """
    from orchestrator.monitoring.summary import report_address  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415
    from orchestrator.session import local_report  # noqa: PLC0415

    session = open_session(settings, make=False)
    seen = snapshot(session.database, run)
    path = report_address(session.store, seen)
    if path is None:
        say(f"run {run} is {seen.run.state} and has no report")
        raise typer.Exit(FAILED)
    path = local_report(session, path)
    show([path])
    if open_:
        typer.launch(str(path))


@app.command()
@with_settings
def demo(settings: Settings, *, as_json: AsJson = False) -> None:
    """Make a synthetic dataset and do a whole run on it.

    It holds 27 invented species. The run goes from planning to the report.
    """
    from orchestrator.demo import make_dataset  # noqa: PLC0415

    session = open_session(settings)
    say("making recordings of invented birds …")
    made = make_dataset(settings.home / "demo")
    say(f"{made.n_recordings} recordings of {made.n_species} invented species in {made.root}")
    request = _request_of(RunOptions(str(made.root)))
    _execute(session, lambda: _submit(session, made.root, request), as_json=as_json, tables=True)


app.add_typer(predictions.app)
app.add_typer(services.app)

"""The command line: parses and prints, nothing else. Whatever is slow to import is imported where it is used."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli import services
from orchestrator.cli.options import (
    Ablate,
    AsJson,
    DataPath,
    Device,
    DryRun,
    Epochs,
    Features,
    Flower,
    FlowerPort,
    Folds,
    LeakMeter,
    Models,
    Preset,
    RunId,
    Seed,
    Seeds,
    SplitSeed,
    TrustCsv,
    Until,
    with_settings,
)
from orchestrator.cli.output import FAILED, INTERRUPTED, OK, USAGE, opened, print_json, say, say_planned, view

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.planning.plan import Request
    from orchestrator.session import Session
    from settings import Settings
    from tasks.dataset.bucket import Bucket

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Labelled recordings in; trained, honestly judged classifiers out.",
)  # fmt: skip


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version  # noqa: PLC0415

        print(version("dawn-chorus"))
        raise typer.Exit


@app.callback()
def _of_the_program(
    version: Annotated[  # its callback has answered
        bool, typer.Option("--version", help="Print the version, and do nothing.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Runs a command; every refusal is one sentence on stderr and the right exit code."""
    from domain.errors import ChorusError  # noqa: PLC0415

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, a command ends as by Ctrl-C
    try:
        ended = app(standalone_mode=False)  # what a command returns, or the code it exited with
        code = ended if isinstance(ended, int) else OK
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (ChorusError, OSError) as error:
        say(f"orchestrator: {error}")
        code = getattr(error, "exit_code", FAILED)
        if "--json" in sys.argv:
            print_json({"error": str(error), "exit_code": code})
    except BaseException as error:  # click's usage errors know how to show themselves
        code = _shown(error)
    sys.stdout.flush()
    sys.exit(code)


def _shown(error: BaseException) -> int:
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return int(getattr(error, "exit_code", USAGE))


def _requested(
    models: str, preset: str | None, folds: int | None, seeds: tuple[int, int], split_seed: int, epochs: int | None,
    until: str, *, trust_csv: bool = False, leak_meter: bool = False, device: str = "auto", ablate: str | None = None,
    features: str = "audio",
) -> Request:  # fmt: skip
    from orchestrator.planning.plan import Request  # noqa: PLC0415
    from orchestrator.planning.request import (  # noqa: PLC0415
        ablated,
        device_name,
        feature_set,
        last_stage,
        model_names,
        seed_numbers,
    )

    training = {} if epochs is None else {"epochs": epochs}
    numbers = seed_numbers(*seeds)
    names, stage = model_names(models), last_stage(until)
    request = Request(
        names, numbers, folds, split_seed, stage, preset, training, trust_csv, leak_meter,
        device=device_name(device), features=feature_set(features),
    )  # fmt: skip
    return ablated(request, ablate)


def _finish(session: Session, run: int, *, as_json: bool) -> NoReturn:
    from orchestrator.cli.terminal import result_lines  # noqa: PLC0415
    from orchestrator.monitoring.summary import exit_code, summary  # noqa: PLC0415

    found = summary(session.database, session.store, run)
    if as_json:
        print_json(found)
    for line in result_lines(found, session.settings.advised):
        say(line)
    raise typer.Exit(exit_code(session.database, run))


@app.command()
@with_settings
def run(
    settings: Settings, path: DataPath, models: Models = "cnn", preset: Preset = None, folds: Folds = None,
    seeds: Seeds = 1, seed: Seed = 0, split_seed: SplitSeed = 0, epochs: Epochs = None, until: Until = "all",
    device: Device = "auto", features: Features = "audio", trust_csv: TrustCsv = False, leak_meter: LeakMeter = False,
    ablate: Ablate = None, dry_run: DryRun = False, as_json: AsJson = False, flower: Flower = False,
    flower_port: FlowerPort = 5555,
) -> None:  # fmt: skip
    """Take a dataset through the whole way on this machine: plan, preprocess, pack, train, evaluate, report."""
    from orchestrator.broker import require_broker  # noqa: PLC0415
    from orchestrator.execution.serve import require_gpu_where_wanted  # noqa: PLC0415

    wanted = _requested(
        models, preset, folds, (seed, seeds), split_seed, epochs, until,
        trust_csv=trust_csv, leak_meter=leak_meter, device=device, ablate=ablate, features=features,
    )  # fmt: skip
    if dry_run:
        return _preview(settings, path, wanted, as_json=as_json)
    place = _dataset(settings, path, wanted)
    require_gpu_where_wanted(settings, wanted.device)
    session = opened(settings)
    session.store.require_reachable()
    if not settings.is_broker_embedded:
        require_broker(settings, say)
    port = flower_port if flower else None
    return _carry_out(session, lambda: _submitted(session, place, wanted), as_json=as_json, flower_port=port)


def _dataset(settings: Settings, path: str, wanted: Request) -> Path | Bucket:
    """The dataset's place; a path that is none is refused before a home is made for it."""
    from orchestrator.planning.request import dataset_at, opened_layout  # noqa: PLC0415

    place = dataset_at(path, settings)
    opened_layout(place, wanted)
    return place


def _preview(settings: Settings, path: str, wanted: Request, *, as_json: bool) -> None:
    from orchestrator.planning.preview import preview  # noqa: PLC0415
    from orchestrator.planning.request import dataset_at  # noqa: PLC0415

    is_there = bool(settings.database_url) or (settings.home / "ledger.sqlite").exists()
    found = preview(opened(settings).database if is_there else None, dataset_at(path, settings), wanted, say_planned())
    if as_json:
        return print_json(found.values)
    return print("\n".join(found.lines))


def _submitted(session: Session, place: Path | Bucket, wanted: Request) -> int:
    from domain.plural import counted  # noqa: PLC0415
    from orchestrator.planning.submit import submit  # noqa: PLC0415

    planned = submit(session.database, place, wanted, say_planned())
    for line in planned.lines:
        say(line)
    say(f"run {planned.run}: {counted(planned.n_recordings, 'recording')}, {counted(planned.n_items, 'item')}")
    return planned.run


def _carry_out(
    session: Session, begin: Callable[[], int], *, as_json: bool, flower_port: int | None = None, tables: bool = False
) -> None:
    from orchestrator.execution.run import run_here  # noqa: PLC0415

    number = run_here(session, begin, view(), flower_port)
    if tables and not as_json:
        from orchestrator.monitoring.result import classification_tables  # noqa: PLC0415  # two seconds of scikit-learn

        print(classification_tables(session, number))
    _finish(session, number, as_json=as_json)


@app.command()
@with_settings
def submit(
    settings: Settings, path: DataPath, models: Models = "cnn", preset: Preset = None, folds: Folds = None,
    seeds: Seeds = 1, seed: Seed = 0, split_seed: SplitSeed = 0, epochs: Epochs = None, until: Until = "all",
    device: Device = "auto", features: Features = "audio", trust_csv: TrustCsv = False, leak_meter: LeakMeter = False,
    ablate: Ablate = None,
    dry_run: DryRun = False, as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run.")] = False,
) -> None:  # fmt: skip
    """Plan a dataset and leave the work to a dispatcher and workers that run elsewhere."""
    from orchestrator.broker import require_broker  # noqa: PLC0415
    from orchestrator.execution.serve import require_dispatcher  # noqa: PLC0415
    from orchestrator.monitoring.workers import unserved  # noqa: PLC0415

    wanted = _requested(
        models, preset, folds, (seed, seeds), split_seed, epochs, until,
        trust_csv=trust_csv, leak_meter=leak_meter, device=device, ablate=ablate, features=features,
    )  # fmt: skip
    if dry_run:
        return _preview(settings, path, wanted, as_json=as_json)
    place = _dataset(settings, path, wanted)
    session = opened(settings)
    session.store.require_reachable()
    require_broker(settings, say)
    require_dispatcher(settings)
    number = _submitted(session, place, wanted)
    missing = unserved(session, number)
    for sentence in missing:
        say(sentence)
    if watch:
        return _followed(session, number, as_json=as_json)
    if as_json:
        from orchestrator.monitoring.summary import summary  # noqa: PLC0415

        print_json({**summary(session.database, session.store, number), "unserved": missing})
    return say(f"follow it with: {settings.advised(f'watch {number}')}")


def _followed(session: Session, number: int, *, as_json: bool) -> None:
    from orchestrator.execution.run import follow  # noqa: PLC0415

    with view() as progress:
        follow(session, number, progress)
    _finish(session, number, as_json=as_json)


@app.command()
@with_settings
def watch(settings: Settings, run: RunId, as_json: AsJson = False) -> None:
    """Follow a run; Ctrl-C ends the watching, never the work."""
    from orchestrator.execution.serve import abandoned  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415

    session = opened(settings, make=False)
    for line in abandoned(settings, run, snapshot(session.database, run).run.state):
        say(line)
    _followed(session, run, as_json=as_json)


@app.command()
@with_settings
def status(settings: Settings, run: RunId, as_json: AsJson = False) -> None:
    """Say how a run stands."""
    from domain.states import RunState  # noqa: PLC0415
    from orchestrator.cli.terminal import result_lines  # noqa: PLC0415
    from orchestrator.execution.serve import abandoned  # noqa: PLC0415
    from orchestrator.monitoring.summary import summary  # noqa: PLC0415
    from orchestrator.monitoring.workers import unserved  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415

    session = opened(settings, make=False)
    state = snapshot(session.database, run).run.state
    found = summary(session.database, session.store, run)
    alone = abandoned(settings, run, state)
    missing = unserved(session, run) if state == RunState.ACTIVE and not alone else []
    if as_json:
        return print_json({**found, "unserved": missing})
    return print("\n".join([*result_lines(found, settings.advised), *alone, *missing]))


@app.command()
@with_settings
def runs(settings: Settings, as_json: AsJson = False) -> None:
    """List all runs, newest first."""
    from dataclasses import asdict  # noqa: PLC0415

    from db.queries.status import run_lines  # noqa: PLC0415

    lines = run_lines(opened(settings, make=False).database)
    if as_json:
        return print_json({"runs": [asdict(line) for line in lines]})
    return print(
        "\n".join(f"{line.id:>5}  {line.state:<10}  {', '.join(line.models):<12}  {line.dataset}" for line in lines)
    )


@app.command()
@with_settings
def resume(
    settings: Settings, run: RunId, as_json: AsJson = False,
    remote: Annotated[bool, typer.Option("--remote", help="Only mark it; a dispatcher elsewhere goes on.")] = False,
) -> None:  # fmt: skip
    """Go on with a paused, interrupted or cancelled run."""
    from orchestrator.execution.run import resumed  # noqa: PLC0415

    session = opened(settings, make=False)
    if remote:
        return say(f"run {resumed(session, run)} goes on where a dispatcher is")
    return _carry_out(session, lambda: resumed(session, run), as_json=as_json)


@app.command()
@with_settings
def retry(
    settings: Settings, run: RunId, as_json: AsJson = False,
    remote: Annotated[bool, typer.Option("--remote", help="Only mark it; a dispatcher elsewhere goes on.")] = False,
) -> None:  # fmt: skip
    """Try again what was quarantined, failed or cancelled."""
    from orchestrator.execution.run import retried  # noqa: PLC0415

    session = opened(settings, make=False)
    if remote:
        return say(f"run {retried(session, run)} goes on where a dispatcher is")
    return _carry_out(session, lambda: retried(session, run), as_json=as_json)


@app.command()
@with_settings
def cancel(settings: Settings, run: RunId) -> None:
    """Call a run off; what is finished is kept."""
    from db.ledger import control  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415

    session = opened(settings, make=False)
    state = snapshot(session.database, run).run.state
    cancelled = control.cancel(session.database, run)
    say(f"run {run} is cancelled" if cancelled else f"run {run} is {state}; there is nothing to call off")


@app.command()
@with_settings
def report(
    settings: Settings, run: RunId,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:  # fmt: skip
    """Print the path of a run's report; one on S3 is fetched into the home."""
    from orchestrator.monitoring.summary import report_address  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415
    from orchestrator.session import fetched  # noqa: PLC0415

    session = opened(settings, make=False)
    seen = snapshot(session.database, run)
    path = report_address(session.store, seen)
    if path is None:
        say(f"run {run} is {seen.run.state} and has no report")
        raise typer.Exit(FAILED)
    path = fetched(session, path)
    print(path)
    if open_:
        typer.launch(str(path))


@app.command()
@with_settings
def demo(settings: Settings, as_json: AsJson = False) -> None:
    """Make a synthetic dataset of 27 invented species and take it through the whole way."""
    from orchestrator.demo import make_dataset  # noqa: PLC0415

    session = opened(settings)
    say("making recordings of invented birds …")
    made = make_dataset(settings.home / "demo")
    say(f"{made.n_recordings} recordings of {made.n_species} invented species in {made.root}")
    wanted = _requested("cnn", None, None, (0, 1), 0, None, "all")
    _carry_out(session, lambda: _submitted(session, made.root, wanted), as_json=as_json, tables=True)


app.add_typer(services.app)

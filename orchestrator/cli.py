"""The command line: parses and prints, nothing else. Whatever is slow to import is imported where it is used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from orchestrator.options import with_settings

if TYPE_CHECKING:
    from orchestrator.plan import Request
    from orchestrator.render import ProgressView
    from orchestrator.session import Session
    from settings import Settings

OK, FAILED, USAGE, SOME_QUARANTINED, OUT_OF_REACH, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Labelled recordings in; trained, honestly judged classifiers out.",
)  # fmt: skip
database_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The ledger's database.")
app.add_typer(database_app, name="db")

RunId = Annotated[int, typer.Argument(metavar="RUN", help="Number of the run, as `runs` lists it.", min=1)]
DataPath = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of recordings, or a csv that names them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
Models = Annotated[str, typer.Option(help="Models to train, separated by commas; `orchestrator models` lists them.")]
Preset = Annotated[str, typer.Option(help="Preprocessing preset: a name, or a TOML file.")]
Folds = Annotated[int | None, typer.Option(help="Cross-validate over so many folds.", min=2)]
Seeds = Annotated[int, typer.Option(help="Train every model with so many seeds.", min=1)]
Seed = Annotated[int, typer.Option(help="First seed of the training.", min=0)]
SplitSeed = Annotated[int, typer.Option(help="Seed the split is drawn with.", min=0)]
Epochs = Annotated[int | None, typer.Option(help="Longest training, in epochs.", min=1)]
Until = Annotated[str, typer.Option(help="Last stage: preprocess, pack, train or all.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
Flower = Annotated[bool, typer.Option("--flower", help="Start the Flower monitor on 127.0.0.1.")]
FlowerPort = Annotated[int, typer.Option(help="The monitor's port.", min=1, max=65535)]


def main() -> NoReturn:
    """Runs a command; every refusal is one sentence on stderr and the right exit code."""
    from tasks.failures import ChorusError  # noqa: PLC0415

    try:
        app(standalone_mode=False)
        code: int | str | None = OK
    except typer.Exit as exit_:
        code = exit_.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (ChorusError, OSError) as error:
        _say(f"orchestrator: {error}")
        code = _code_of(error)
    except BaseException as error:  # click's usage errors know how to show themselves
        code = _shown(error)
    sys.stdout.flush()
    sys.exit(code)


def _code_of(error: Exception) -> int:
    usage = {
        "LayoutNotFound",
        "PresetError",
        "UnknownModel",
        "UnknownRun",
        "SettingsUnusable",
        "RunIsOver",
        "UsageError",
    }
    reach = {"BrokerUnreachable", "HomeUnusable", "DatabaseUnusable"}
    names = {kind.__name__ for kind in type(error).__mro__}
    return USAGE if names & usage else OUT_OF_REACH if names & reach else FAILED


def _shown(error: BaseException) -> int:
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return int(getattr(error, "exit_code", USAGE))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _opened(settings: Settings, *, make: bool = True) -> Session:
    from orchestrator.session import opened  # noqa: PLC0415

    _say(f"home {settings.home}" if not settings.database_url else "database and store as configured")
    return opened(settings, make=make)


def _view() -> ProgressView:
    from rich.console import Console  # noqa: PLC0415

    from orchestrator.render import ProgressView  # noqa: PLC0415

    return ProgressView(Console(stderr=True))


def _requested(
    models: str, preset: str, folds: int | None, seeds: tuple[int, int], split_seed: int, epochs: int | None, until: str
) -> Request:
    from orchestrator.plan import Request  # noqa: PLC0415
    from orchestrator.request import last_stage, model_names  # noqa: PLC0415

    training = {} if epochs is None else {"epochs": epochs}
    numbers = tuple(range(seeds[0], seeds[0] + seeds[1]))
    return Request(model_names(models), numbers, folds, split_seed, last_stage(until), preset, training)


def _print_json(values: Any) -> None:
    print(json.dumps(values, ensure_ascii=False, default=str))


def _finish(session: Session, run: int, *, as_json: bool) -> NoReturn:
    from orchestrator.render import result_lines  # noqa: PLC0415
    from orchestrator.watch import exit_code, summary  # noqa: PLC0415

    found = summary(session.database, session.store, run)
    if as_json:
        _print_json(found)
    for line in result_lines(found):
        _say(line)
    raise typer.Exit(exit_code(session.database, run))


@app.command()
@with_settings
def run(
    settings: Settings, path: DataPath, models: Models = "cnn", preset: Preset = "birdclef2021", folds: Folds = None,
    seeds: Seeds = 1, seed: Seed = 0, split_seed: SplitSeed = 0, epochs: Epochs = None, until: Until = "all",
    dry_run: DryRun = False, as_json: AsJson = False, flower: Flower = False, flower_port: FlowerPort = 5555,
) -> None:  # fmt: skip
    """Take a dataset through the whole way on this machine: plan, preprocess, pack, train, evaluate, report."""
    from orchestrator.join import require_broker  # noqa: PLC0415

    wanted = _requested(models, preset, folds, (seed, seeds), split_seed, epochs, until)
    if dry_run:
        return _preview(settings, path, wanted, as_json=as_json)
    session = _opened(settings)
    if not settings.is_broker_embedded:
        require_broker(settings)
    number = _submitted(session, path, wanted)
    return _carry_out(session, number, as_json=as_json, flower_port=flower_port if flower else None)


def _preview(settings: Settings, path: Path, wanted: Request, *, as_json: bool) -> None:
    from orchestrator.preview import preview  # noqa: PLC0415

    is_there = bool(settings.database_url) or (settings.home / "ledger.sqlite").exists()
    found = preview(_opened(settings).database if is_there else None, path, wanted, lambda _: None)
    if as_json:
        return _print_json(found.values)
    return print("\n".join(found.lines))


def _submitted(session: Session, path: Path, wanted: Request) -> int:
    from orchestrator.submit import submit  # noqa: PLC0415

    planned = submit(
        session.database, path, wanted, lambda n: _say(f"planning: {n:,} recordings") if n % 10000 == 0 else None
    )
    for line in planned.lines:
        _say(line)
    _say(f"run {planned.run}: {planned.n_recordings:,} recordings, {planned.n_items:,} items")
    return planned.run


def _carry_out(session: Session, number: int, *, as_json: bool, flower_port: int | None = None) -> None:
    from orchestrator.run import run_here  # noqa: PLC0415

    with _view() as view:
        run_here(session, number, view, flower_port)
    _finish(session, number, as_json=as_json)


@app.command()
@with_settings
def submit(
    settings: Settings, path: DataPath, models: Models = "cnn", preset: Preset = "birdclef2021", folds: Folds = None,
    seeds: Seeds = 1, seed: Seed = 0, split_seed: SplitSeed = 0, epochs: Epochs = None, until: Until = "all",
    dry_run: DryRun = False, as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run.")] = False,
) -> None:  # fmt: skip
    """Plan a dataset and leave the work to a dispatcher and workers that run elsewhere."""
    from orchestrator.join import require_broker  # noqa: PLC0415

    wanted = _requested(models, preset, folds, (seed, seeds), split_seed, epochs, until)
    if dry_run:
        return _preview(settings, path, wanted, as_json=as_json)
    session = _opened(settings)
    require_broker(settings)
    number = _submitted(session, path, wanted)
    if watch:
        return _followed(session, number, as_json=as_json)
    if as_json:
        from orchestrator.watch import summary  # noqa: PLC0415

        _print_json(summary(session.database, session.store, number))
    return _say(f"follow it with: orchestrator watch {number}")


def _followed(session: Session, number: int, *, as_json: bool) -> None:
    from orchestrator.run import follow  # noqa: PLC0415

    with _view() as view:
        follow(session, number, view)
    _finish(session, number, as_json=as_json)


@app.command()
@with_settings
def watch(settings: Settings, run: RunId, as_json: AsJson = False) -> None:
    """Follow a run; Ctrl-C ends the watching, never the work."""
    _followed(_opened(settings, make=False), run, as_json=as_json)


@app.command()
@with_settings
def status(settings: Settings, run: RunId, as_json: AsJson = False) -> None:
    """Say how a run stands."""
    from orchestrator.render import result_lines  # noqa: PLC0415
    from orchestrator.watch import snapshot, summary  # noqa: PLC0415

    session = _opened(settings, make=False)
    snapshot(session.database, run)
    found = summary(session.database, session.store, run)
    if as_json:
        return _print_json(found)
    return print("\n".join(result_lines(found)))


@app.command()
@with_settings
def runs(settings: Settings, as_json: AsJson = False) -> None:
    """List all runs, newest first."""
    from dataclasses import asdict  # noqa: PLC0415

    from db.status import run_lines  # noqa: PLC0415

    lines = run_lines(_opened(settings, make=False).database)
    if as_json:
        return _print_json([asdict(line) for line in lines])
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
    from orchestrator.run import resumed  # noqa: PLC0415

    session = _opened(settings, make=False)
    resumed(session, run)
    if not remote:
        _carry_out(session, run, as_json=as_json)


@app.command()
@with_settings
def retry(
    settings: Settings, run: RunId, as_json: AsJson = False,
    remote: Annotated[bool, typer.Option("--remote", help="Only mark it; a dispatcher elsewhere goes on.")] = False,
) -> None:  # fmt: skip
    """Try again what was quarantined, failed or cancelled."""
    from db import steering  # noqa: PLC0415
    from orchestrator.watch import snapshot  # noqa: PLC0415

    session = _opened(settings, make=False)
    snapshot(session.database, run)
    n = steering.retry(session.database, run)
    _say(f"run {run}: {n} items and jobs to try again")
    if n and not remote:
        _carry_out(session, run, as_json=as_json)


@app.command()
@with_settings
def cancel(settings: Settings, run: RunId) -> None:
    """Call a run off; what is finished is kept."""
    from db import steering  # noqa: PLC0415
    from orchestrator.watch import snapshot  # noqa: PLC0415

    session = _opened(settings, make=False)
    state = snapshot(session.database, run).run.state
    cancelled = steering.cancel(session.database, run)
    _say(f"run {run} is cancelled" if cancelled else f"run {run} is {state} already")


@app.command()
@with_settings
def report(
    settings: Settings, run: RunId,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:  # fmt: skip
    """Print the path of a run's report."""
    from orchestrator.watch import snapshot, summary  # noqa: PLC0415

    session = _opened(settings, make=False)
    seen = snapshot(session.database, run)
    path = summary(session.database, session.store, run)["report"]
    if path is None:
        _say(f"run {run} is {seen.run.state} and has no report")
        raise typer.Exit(FAILED)
    print(path)
    if open_:
        typer.launch(str(path))


@app.command()
@with_settings
def workers(settings: Settings, as_json: AsJson = False) -> None:
    """List the workers that answer, and what each is doing."""
    from db.status import at_work  # noqa: PLC0415
    from orchestrator.dispatch import Sender  # noqa: PLC0415

    session = _opened(settings, make=False)
    doing = at_work(session.database)
    answering = Sender(settings).workers()
    listed = [
        {"worker": name, "queues": queues, "doing": [f"{w.what} of run {w.run}" for w in doing if w.worker == name]}
        for name, queues in answering.items()
    ]
    if as_json:
        return _print_json(listed)
    lines = [f"{w['worker']}  {','.join(w['queues'])}  {'; '.join(w['doing']) or 'idle'}" for w in listed]
    return print("\n".join(lines or ["no worker answers"]))


@app.command()
@with_settings
def worker(
    settings: Settings,
    role: Annotated[
        str, typer.Argument(metavar="cpu|gpu", help="cpu: preprocess, pack, render. gpu: train, evaluate.")
    ],
    concurrency: Annotated[int | None, typer.Option(help="Child processes of a cpu worker.", min=1)] = None,
) -> None:
    """Become a worker, and join whatever runs use this broker."""
    from orchestrator.join import become_worker  # noqa: PLC0415

    become_worker(_opened(settings).settings, role, concurrency)


@app.command()
@with_settings
def dispatcher(settings: Settings) -> None:
    """Feed all runs until stopped; without a broker URL, own the embedded broker."""
    from orchestrator.run import dispatch_here  # noqa: PLC0415

    dispatch_here(_opened(settings), _view())


@app.command()
@with_settings
def demo(settings: Settings, as_json: AsJson = False) -> None:
    """Make a synthetic dataset of 27 invented species and take it through the whole way."""
    from orchestrator.demo import make_dataset  # noqa: PLC0415
    from orchestrator.result import classification_tables  # noqa: PLC0415
    from orchestrator.run import run_here  # noqa: PLC0415

    session = _opened(settings)
    made = make_dataset(settings.home / "demo")
    _say(f"{made.n_recordings} recordings of {made.n_species} invented species in {made.root}")
    number = _submitted(session, made.root, _requested("cnn", "birdclef2021", None, (0, 1), 0, None, "all"))
    with _view() as view:
        run_here(session, number, view)
    if not as_json:
        print(classification_tables(session, number))
    _finish(session, number, as_json=as_json)


@app.command()
@with_settings
def doctor(
    settings: Settings, as_json: AsJson = False,
    repair: Annotated[bool, typer.Option("--repair", help="Have what is gone made again.")] = False,
) -> None:  # fmt: skip
    """Compare ledger, store and broker, and say in words what is wrong."""
    from orchestrator.doctor import findings  # noqa: PLC0415

    found = findings(_opened(settings, make=False), repair=repair)
    if as_json:
        _print_json(found)
    else:
        print("\n".join(found) or "all is well")
    raise typer.Exit(FAILED if found and not repair else OK)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models."""
    from tasks.model.zoo import MODELS  # noqa: PLC0415

    if as_json:
        return _print_json(
            [{"name": e.name, "inputs": list(e.inputs), "sentence": e.sentence} for e in MODELS.values()]
        )
    return print("\n".join(f"{entry.name:<12} {entry.sentence}" for entry in MODELS.values()))


@database_app.command("upgrade")
@with_settings
def database_upgrade(settings: Settings) -> None:
    """Bring the ledger's tables up to this version."""
    from db.schema import upgrade  # noqa: PLC0415
    from db.session import Database  # noqa: PLC0415

    database = Database(settings.database)
    print(f"{database.shown} is at revision {upgrade(database)}")

"""Commands for operators: workers, dispatcher, monitor, health, doctor, database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import AsJson, FlowerPort, with_settings
from orchestrator.cli.output import FAILED, OK, open_session, print_json, say, show, view

if TYPE_CHECKING:
    from settings import Settings

app = typer.Typer(rich_markup_mode=None)
database_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The ledger's database.")
app.add_typer(database_app, name="db")


@app.command()
@with_settings
def workers(settings: Settings, *, as_json: AsJson = False) -> None:
    """List the workers that answer.

    Prints host, role, queues, device, current work, and the time since the last progress of each.
    """
    from orchestrator.monitoring.workers import workers as worker_lines  # noqa: PLC0415

    found = worker_lines(open_session(settings, make=False))
    if as_json:
        return print_json({"workers": [worker.as_dict() for worker in found]})
    return show([worker.line() for worker in found] or ["no worker answers"])


@app.command()
@with_settings
def worker(
    settings: Settings,
    role: Annotated[
        str,
        typer.Argument(
            metavar="cpu|gpu", help="cpu: preprocess, pack, render, predict, collect. gpu: train, evaluate."
        ),
    ],
    *,
    concurrency: Annotated[int | None, typer.Option(help="Number of child processes.", min=1, max=1024)] = None,
    require_gpu: Annotated[
        bool, typer.Option("--require-gpu", help="Refuse to start without a GPU.  [CHORUS_REQUIRE_GPU]")
    ] = False,
) -> None:
    """Start a worker in this process. It serves all runs of the broker."""
    from orchestrator.execution.serve import become_worker  # noqa: PLC0415

    asked = {"require_gpu": True} if require_gpu else {}
    become_worker(open_session(settings).settings.model_copy(update=asked), role, concurrency, say)


@app.command()
@with_settings
def dispatcher(settings: Settings) -> None:
    """Feed all runs until stopped. Without a broker URL, also start the embedded broker."""
    from orchestrator.execution.run import dispatch_here  # noqa: PLC0415

    session = open_session(settings)
    exporter = None
    if settings.metrics_port:
        from orchestrator.monitoring.prometheus import Exporter  # noqa: PLC0415  # only needed with a port

        exporter = Exporter(settings)
    dispatch_here(session, view(), exporter)


@app.command()
@with_settings
def flower(
    settings: Settings,
    port: FlowerPort = 5555,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    state: Annotated[Path | None, typer.Option(help="File that keeps the task history over restarts.")] = None,
) -> None:
    """Start the Flower monitor in this process.

    It asks for the password in CHORUS_FLOWER_PASSWORD_FILE.
    """
    from orchestrator.execution.serve import become_flower  # noqa: PLC0415

    become_flower(settings, port, address, state, say)


@app.command()
@with_settings
def health(
    settings: Settings,
    role: Annotated[str, typer.Argument(metavar="cpu|gpu|dispatcher", help="The process that runs in this container.")],
) -> None:
    """Check that this container's process makes progress. Exit code 1 if it does not."""
    from orchestrator.monitoring.health import require_progress  # noqa: PLC0415

    show([require_progress(settings, role)])


@app.command()
@with_settings
def doctor(
    settings: Settings,
    *,
    as_json: AsJson = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Mark missing or corrupt files for regeneration, and delete orphans."),
    ] = False,
    forget_ledger: Annotated[
        str, typer.Option(metavar="ID", help="Forget another ledger of this store that is gone for good.")
    ] = "",
) -> None:
    """Check ledger, store and broker.

    Prints a sentence for each problem.
    """
    from orchestrator.monitoring import doctor as checks  # noqa: PLC0415

    session = open_session(settings, make=False)
    if forget_ledger:
        print(checks.forget_ledger(session, forget_ledger))
        return
    found = checks.findings(session, repair=repair)
    if as_json:
        print_json({"findings": found})
    else:
        show(found or ["no problems found"])
    raise typer.Exit(FAILED if found and not repair else OK)


@app.command()
def models(
    model: Annotated[str, typer.Argument(metavar="[MODELS]", help="Models to list, separated by commas.")] = "all",
    *,
    classes: Annotated[int, typer.Option(help="Number of classes.", min=2, max=1_000_000)] = 27,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the models: purpose, inputs, parameters and layers."""
    from orchestrator.monitoring.catalogue import lines, model_descriptions  # noqa: PLC0415
    from orchestrator.planning.request import model_names  # noqa: PLC0415

    found = model_descriptions(classes, model_names(model))
    if as_json:
        return print_json({"classes": classes, "models": found})
    return show(lines(found, with_layers=layers))


@database_app.command("upgrade")
@with_settings
def database_upgrade(settings: Settings) -> None:
    """Upgrade the ledger's tables to this version. Stop all workers first."""
    from db.engine import Database  # noqa: PLC0415
    from db.schema.upgrade import upgrade  # noqa: PLC0415
    from orchestrator.cli.output import warn_if_open_to_others  # noqa: PLC0415
    from orchestrator.home import require_home  # noqa: PLC0415
    from orchestrator.waiting import wait_for  # noqa: PLC0415

    require_home(settings)
    warn_if_open_to_others(settings)
    database = Database(settings.database)
    wait_for(database.require_answer, settings.wait_s, say, settings.progress_file)
    show([f"{database.safe_url} is at revision {upgrade(database)}"])

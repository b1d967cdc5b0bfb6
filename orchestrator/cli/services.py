"""Commands about machines: workers, the dispatcher, the doctor, the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import AsJson, FlowerPort, with_settings
from orchestrator.cli.output import FAILED, OK, opened, print_json, say, view

if TYPE_CHECKING:
    from settings import Settings

app = typer.Typer(rich_markup_mode=None)
database_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The ledger's database.")
app.add_typer(database_app, name="db")


@app.command()
@with_settings
def workers(settings: Settings, as_json: AsJson = False) -> None:
    """List the workers that answer: host, role, queues, device, what each is doing, and when it last went on."""
    from orchestrator.monitoring.workers import workers as listed  # noqa: PLC0415

    found = listed(opened(settings, make=False))
    if as_json:
        return print_json({"workers": [worker.as_dict() for worker in found]})
    return print("\n".join([worker.line() for worker in found] or ["no worker answers"]))


@app.command()
@with_settings
def worker(
    settings: Settings,
    role: Annotated[
        str, typer.Argument(metavar="cpu|gpu", help="cpu: preprocess, pack, render. gpu: train, evaluate.")
    ],
    concurrency: Annotated[int | None, typer.Option(help="Child processes of the worker.", min=1)] = None,
    require_gpu: Annotated[
        bool, typer.Option("--require-gpu", help="Refuse to start where no GPU is seen.  [CHORUS_REQUIRE_GPU]")
    ] = False,
) -> None:
    """Become a worker, and join whatever runs use this broker."""
    from orchestrator.execution.serve import become_worker  # noqa: PLC0415

    asked = {"require_gpu": True} if require_gpu else {}
    become_worker(opened(settings).settings.model_copy(update=asked), role, concurrency, say)


@app.command()
@with_settings
def dispatcher(settings: Settings) -> None:
    """Feed all runs until stopped; without a broker URL, own the embedded broker."""
    from orchestrator.execution.run import dispatch_here  # noqa: PLC0415

    session = opened(settings)
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
    state: Annotated[Path | None, typer.Option(help="File that keeps over restarts what was seen.")] = None,
) -> None:
    """Become the Flower monitor, behind the password in CHORUS_FLOWER_PASSWORD_FILE."""
    from orchestrator.execution.serve import become_flower  # noqa: PLC0415

    become_flower(settings, port, address, state, say)


@app.command()
@with_settings
def health(
    settings: Settings,
    role: Annotated[str, typer.Argument(metavar="cpu|gpu|dispatcher", help="What runs in this container.")],
) -> None:
    """Say whether this container's process goes on; exit code 1 when it does not."""
    from orchestrator.monitoring.health import require_progress  # noqa: PLC0415

    print(require_progress(settings, role))


@app.command()
@with_settings
def doctor(
    settings: Settings, as_json: AsJson = False,
    repair: Annotated[bool, typer.Option("--repair", help="Have what is gone made again.")] = False,
) -> None:  # fmt: skip
    """Compare ledger, store and broker, and say in words what is wrong."""
    from orchestrator.monitoring.doctor import findings  # noqa: PLC0415

    found = findings(opened(settings, make=False), repair=repair)
    if as_json:
        print_json({"findings": found})
    else:
        print("\n".join(found) or "all is well")
    raise typer.Exit(FAILED if found and not repair else OK)


@app.command()
def models(
    model: Annotated[str, typer.Argument(metavar="[MODELS]", help="Only these, separated by commas.")] = "all",
    classes: Annotated[int, typer.Option(help="Classes to tell apart.", min=2, max=1_000_000)] = 27,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what can be trained: inputs, parameters, layers, and what each model is for."""
    from orchestrator.monitoring.catalogue import lines, listed  # noqa: PLC0415
    from orchestrator.planning.request import model_names  # noqa: PLC0415

    found = listed(classes, model_names(model))
    if as_json:
        return print_json({"classes": classes, "models": found})
    return print("\n".join(lines(found, with_layers=layers)))


@database_app.command("upgrade")
@with_settings
def database_upgrade(settings: Settings) -> None:
    """Bring the ledger's tables up to this version."""
    from db.engine import Database  # noqa: PLC0415
    from db.schema.upgrade import upgrade  # noqa: PLC0415
    from orchestrator.cli.output import say_who_looks_in  # noqa: PLC0415
    from orchestrator.home import require_home  # noqa: PLC0415
    from orchestrator.waiting import wait_for  # noqa: PLC0415

    require_home(settings)
    say_who_looks_in(settings)
    database = Database(settings.database)
    wait_for(database.require_answer, settings.wait_s, say, settings.progress_file)
    print(f"{database.shown} is at revision {upgrade(database)}")

"""Options of the commands. Every command has those that override the environment's home, broker, database and store."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from settings import Settings

SETTINGS: ContextVar[Settings | None] = ContextVar("settings", default=None)
"""The settings of the command that is running, for what is said of an error that ended it."""

RunId = Annotated[int, typer.Argument(metavar="RUN", help="Number of the run, as `runs` lists it.", min=1, max=2**31)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]
FlowerPort = Annotated[int, typer.Option(help="Port of the Flower monitor.", min=1, max=65535)]
Remote = Annotated[bool, typer.Option("--remote", help="Only update the ledger; a dispatcher elsewhere does the work.")]


@dataclass(frozen=True)
class RunOptions:
    """The options of `run` and `submit`, as typed."""

    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="Folder of recordings, or a csv that lists them; local or s3://BUCKET."),
    ]
    models: Annotated[
        str, typer.Option(help="Models to train, separated by commas; `orchestrator models` lists them.")
    ] = "cnn"
    preset: Annotated[
        str | None,
        typer.Option(help="Preprocessing preset for all models: a name, or a TOML file.  [each model's own]"),
    ] = None
    folds: Annotated[int | None, typer.Option(help="Number of folds of a cross-validation.", min=2, max=1000)] = None
    seeds: Annotated[int, typer.Option(help="Number of seeds to train every model with.", min=1, max=1000)] = 1
    seed: Annotated[int, typer.Option(help="First training seed.", min=0, max=2**31 - 1)] = 0
    split_seed: Annotated[int, typer.Option(help="Seed of the split.", min=0, max=2**31)] = 0
    epochs: Annotated[int | None, typer.Option(help="Maximum number of epochs.", min=1, max=100_000)] = None
    until: Annotated[str, typer.Option(help="Last stage: preprocess, pack, train or all.")] = "all"
    device: Annotated[str, typer.Option(help="Device to train on: auto (a GPU if there is one), cpu or gpu.")] = "auto"
    features: Annotated[
        str,
        typer.Option(help="Features for models that read them: audio, metadata (where and when) or both."),
    ] = "audio"
    trust_csv: Annotated[
        bool,
        typer.Option("--trust-csv", help="Plan from the csv alone; workers read the files and find copies later."),
    ] = False
    class_folders: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Folders that are classes although their names (train, fold1, audio …) say otherwise, separated by "
            "commas.",
        ),
    ] = None
    path_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the csv that holds the paths.  [known names]")
    ] = None
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the csv that holds the labels.  [known names]")
    ] = None
    allow_empty_classes: Annotated[
        bool,
        typer.Option("--allow-empty-classes", help="Go on without classes of which no recording can be used."),
    ] = False
    leak_meter: Annotated[
        bool,
        typer.Option("--leak-meter", help="Also train on shuffled chunks, to show what a leaky split would claim."),
    ] = False
    drop_leaks: Annotated[
        bool,
        typer.Option("--drop-leaks", help="Leave out recordings whose group or copy is tested, or in another fold."),
    ] = False
    ablate: Annotated[
        str | None,
        typer.Option(
            help="Train every model again with one change: denoising, augmentation, synthetic, separated by commas, "
            "or all."
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.")] = False
    as_json: AsJson = False


_SHARED: dict[str, Any] = {
    "home": Annotated[
        Path | None, typer.Option(help="Folder of ledger, store and logs.  [CHORUS_HOME, default .chorus]")
    ],
    "broker_url": Annotated[
        str | None, typer.Option(help="Redis URL instead of the embedded broker.  [CHORUS_BROKER_URL]")
    ],
    "database_url": Annotated[str | None, typer.Option(help="Database URL instead of SQLite.  [CHORUS_DATABASE_URL]")],
    "store_url": Annotated[
        str | None, typer.Option(help="Store folder, or s3:// URL, instead of one in the home.  [CHORUS_STORE_URL]")
    ],
}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Turn a function whose first parameter is `settings` into a typer command.

    The settings come from the shared options and the environment. A parameter whose type is a dataclass becomes one
    option for each field, and the function receives the dataclass.
    """
    hints = get_type_hints(
        command, globalns=vars(inspect.getmodule(command)) | {"Settings": object}, include_extras=True
    )
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}

    @functools.wraps(command)
    def filled(**given: Any) -> None:
        from orchestrator.session import settings_from  # noqa: PLC0415  # pydantic takes a tenth of a second

        settings = settings_from({name: given.pop(name) for name in _SHARED})
        SETTINGS.set(settings)
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(settings, **given)

    options: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            options |= _options_of(groups[name])
        elif name != "settings":
            options[name] = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
    for name, kind in _SHARED.items():
        options[name] = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
    filled.__signature__ = inspect.Signature(list(options.values()))  # type: ignore[attr-defined]
    filled.__annotations__ = {**{name: option.annotation for name, option in options.items()}, "return": None}
    del filled.__wrapped__  # typer would read the inner signature
    return filled


@functools.cache
def _options_of(group: Any) -> dict[str, inspect.Parameter]:
    """A keyword parameter for each field of the dataclass."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    return {
        name: inspect.Parameter(name, keyword, default=parameter.default, annotation=hint)
        for (name, parameter), hint in zip(
            inspect.signature(group).parameters.items(),
            get_type_hints(group, include_extras=True).values(),
            strict=True,
        )
    }

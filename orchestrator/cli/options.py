"""The options every command has: where things are. They win over the environment."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from settings import Settings

RunId = Annotated[int, typer.Argument(metavar="RUN", help="Number of the run, as `runs` lists it.", min=1, max=2**31)]
DataPath = Annotated[
    str, typer.Argument(metavar="PATH", help="Folder of recordings, or a csv that names them; on disk or s3://….")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
Models = Annotated[str, typer.Option(help="Models to train, separated by commas; `orchestrator models` lists them.")]
Preset = Annotated[
    str | None, typer.Option(help="Preprocessing preset for all models: a name, or a TOML file.  [each model's own]")
]
Folds = Annotated[int | None, typer.Option(help="Cross-validate over so many folds.", min=2, max=1000)]
Seeds = Annotated[int, typer.Option(help="Train every model with so many seeds.", min=1, max=1000)]
Seed = Annotated[int, typer.Option(help="First seed of the training.", min=0, max=2**31 - 1)]
SplitSeed = Annotated[int, typer.Option(help="Seed the split is drawn with.", min=0, max=2**31)]
Epochs = Annotated[int | None, typer.Option(help="Longest training, in epochs.", min=1, max=100_000)]
Features = Annotated[
    str, typer.Option(help="What models that read features are given: audio, metadata (where and when) or both.")
]
Until = Annotated[str, typer.Option(help="Last stage: preprocess, pack, train or all.")]
TrustCsv = Annotated[
    bool, typer.Option("--trust-csv", help="Plan from the csv alone: workers read the files, and find copies later.")
]
LeakMeter = Annotated[
    bool, typer.Option("--leak-meter", help="Also train on shuffled chunks, to show what such a split would claim.")
]
Device = Annotated[str, typer.Option(help="What to train on: auto (a GPU where there is one), cpu or gpu.")]
Ablate = Annotated[
    str | None,
    typer.Option(
        help="Also train every model with or without, as it is not: denoising, augmentation, synthetic, separated by "
        "commas, or all."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
Flower = Annotated[bool, typer.Option("--flower", help="Start the Flower monitor on 127.0.0.1.")]
FlowerPort = Annotated[int, typer.Option(help="The monitor's port.", min=1, max=65535)]

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
    """A command whose first parameter, `settings`, comes from the shared options and the environment."""

    @functools.wraps(command)
    def filled(**options: Any) -> None:
        shared = {name: options.pop(name) for name in _SHARED}
        command(_settings(shared), **options)

    signature = inspect.signature(command)
    hints = get_type_hints(
        command, globalns=vars(inspect.getmodule(command)) | {"Settings": object}, include_extras=True
    )
    own = [parameter for name, parameter in signature.parameters.items() if name != "settings"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in _SHARED.items()]
    filled.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(kind=keyword, annotation=hints[p.name]) for p in own] + shared
    )
    filled.__annotations__ = {**{p.name: hints[p.name] for p in own}, **_SHARED, "return": None}
    del filled.__wrapped__  # typer would read the inner signature
    return filled


def _settings(shared: dict[str, Any]) -> Settings:
    from orchestrator.session import settings_from  # noqa: PLC0415  # pydantic is a tenth of a second

    return settings_from(shared)

"""The one planner of `run`, `submit` and `--dry-run`: opens a dataset, reads it, and makes the plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from domain.errors import UsageError
from orchestrator.planning.candidates import Selection, selection
from orchestrator.planning.gather import Progress, Sink, gather, looked_at, taken_on_trust
from orchestrator.planning.plan import DatasetFacts, Plan, plan_of
from orchestrator.planning.request import Request
from settings import Settings, bucket_url
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import Layout, open_layout
from tasks.dataset.manifest import Lookup
from tasks.model.zoo import MODELS, entry


def dataset_at(text: str, settings: Settings) -> Path | Bucket:
    """The folder, csv or bucket that the user named.

    Raises:
        UsageError: the text is empty, or a URL of another kind.
    """
    if not text.strip():
        raise UsageError("the dataset's path is empty; give a folder, a csv, or s3://BUCKET/PREFIX")
    if "://" not in text:
        return Path(text)
    if not text.startswith("s3://"):
        raise UsageError(f"{text.partition('://')[0]}:// is no place of a dataset; give a path, or s3://BUCKET/PREFIX")
    from tasks.runtime.sources import bucket  # noqa: PLC0415  # slow to import, and only buckets need it

    try:
        return bucket(bucket_url(text), plain_http=settings.is_endpoint_here)
    except ValueError as error:
        raise UsageError(str(error)) from error


def opened_layout(path: Path | Bucket, request: Request) -> Layout:
    """The dataset's layout.

    Raises:
        LayoutError: the path is not a dataset.
        UsageError: the dataset or the models do not suit the requested features.
    """
    layout = open_layout(path, is_trusted=request.trust_csv)
    if request.features == "audio":
        return layout
    if not any("features" in entry(model).inputs for model in request.models):
        readers = [name for name, one in MODELS.items() if "features" in one.inputs]
        raise UsageError(
            f"--features {request.features}: {', '.join(request.models)} read no features; "
            f"add one of {', '.join(readers)}"
        )
    if not layout.has_metadata:
        raise UsageError(
            f"--features {request.features}: {path} has no column that says where or when (latitude and longitude, "
            "date, month, time, hour); leave --features away"
        )
    return layout


@dataclass(frozen=True)
class Prepared:
    """A request that was checked against its dataset; no recording has been read yet."""

    request: Request
    layout: Layout
    selection: Selection


def prepared(path: Path | Bucket, request: Request) -> Prepared:
    """Opens the dataset and chooses presets and models.

    Raises:
        LayoutError, PresetError, VariantError, UsageError: with the sentence to show.
    """
    return Prepared(request, opened_layout(path, request), selection(request))


def make_plan(begun: Prepared, lookup: Lookup, sink: Sink, report: Progress) -> Plan:
    """Reads every recording once and makes the plan. `sink` receives the recordings in the plan's order.

    Raises:
        UsageError: the requested features are known of no recording.
        SplitError: the recordings cannot be divided as asked.
        Impossible: no recording is usable.
    """
    request, layout = begun.request, begun.layout
    rows = (taken_on_trust if request.trust_csv else looked_at)(layout, lookup)
    found = gather(layout, begun.selection.presets, rows, sink, report)
    if request.features != "audio" and not found.summary.known:
        raise UsageError(
            f"--features {request.features}: no place, month or hour is known of any of the "
            f"{found.summary.n_recordings:,} recordings; leave --features away"
        )
    source = DatasetFacts(layout.name, str(layout.root), tuple(layout.notes))
    return plan_of(request, begun.selection, source, found.roll, found.summary)

"""The one planner of `run`, `submit` and `--dry-run`: opens a dataset, reads it, and makes the plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from db.engine import Database
from db.ledger import planning
from domain.errors import UsageError
from domain.reasons import ReasonCode
from orchestrator.planning.candidates import Selection, selection
from orchestrator.planning.gather import Progress, Sink, gather, measured_recordings, trusted_recordings
from orchestrator.planning.plan import Plan, PlannedDataset, plan_of
from orchestrator.planning.request import Request
from settings import Settings, bucket_url
from tasks.audio.containers.libav import HOW_TO_INSTALL
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import DoubtfulDataset, Layout, open_layout
from tasks.dataset.manifest import Lookup
from tasks.model.zoo import MODELS, entry

_NAMED = 5


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
    layout = open_layout(
        path,
        is_trusted=request.trust_csv,
        class_folders=request.class_folders,
        path_column=request.path_column,
        label_column=request.label_column,
    )
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
        DoubtfulDataset: a class has no usable recording.
    """
    request, layout = begun.request, begun.layout
    rows = (trusted_recordings if request.trust_csv else measured_recordings)(layout, lookup)
    found = gather(layout, begun.selection.presets, rows, sink, report)
    if request.features != "audio" and not found.summary.known:
        raise UsageError(
            f"--features {request.features}: no place, month or hour is known of any of the "
            f"{found.summary.n_recordings:,} recordings; leave --features away"
        )
    if not request.allow_empty_classes and (empty := found.summary.empty_classes()):
        raise _empty_classes(empty)
    notes = (*layout.notes, *layout.findings.lines())
    source = PlannedDataset(layout.name, str(layout.root), notes, layout.findings.as_dict())
    return plan_of(request, begun.selection, source, found.index, found.summary)


def preprocessed_again(database: Database, selection: Selection) -> list[str]:
    """Return a sentence for each preset whose strips in the ledger are all of an earlier version of the code."""
    return [
        f"strips of the preset {preset.name} were made by an earlier version, whose decoder and silence check "
        "differed; every recording is preprocessed once more"
        for preset in selection.presets
        if planning.is_first_to_preprocess_again(database, preset.digest, preset.as_dict())
    ]


def _empty_classes(empty: dict[str, Counter[str]]) -> DoubtfulDataset:
    classes = []
    for label, lost in list(empty.items())[:_NAMED]:
        classes.append(f"class {label} would be empty ({', '.join(f'{n:,} x {why}' for why, n in lost.most_common())})")
    if len(empty) > _NAMED:
        classes.append(f"and {len(empty) - _NAMED:,} more classes")
    needs_decoder = any(ReasonCode.NO_DECODER.words in why for lost in empty.values() for why in lost)
    remedy = f"; PyAV decodes some of them, {HOW_TO_INSTALL}" if needs_decoder else ""
    return DoubtfulDataset(
        f"{'; '.join(classes)}; convert or replace the recordings (wav and flac are always read){remedy}; or go on: "
        "--allow-empty-classes"
    )

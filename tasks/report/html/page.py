"""Facts to one HTML file that opens anywhere, offline, for years: no script, no address, nothing beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.report.data import (
    ClassFacts,
    DatasetFacts,
    GalleryStrip,
    JobReport,
    NotUsed,
    ReportData,
    RunFacts,
    SideFacts,
    SplitFacts,
)
from tasks.report.html import wording
from tasks.report.html.generators import generator_views, is_of_generator
from tasks.report.html.models import ModelView, has_trouble, leaks, model_views
from tasks.report.plots.curves import rate_timeline, side_bars
from tasks.report.plots.drawing import printable
from tasks.report.plots.effect import effect_figure, reach_of
from tasks.report.plots.spectrograms import strip_figure
from tasks.report.scoring.ablation import effects
from tasks.report.scoring.scores import Mistake

__all__ = [
    "ClassFacts",
    "DatasetFacts",
    "GalleryStrip",
    "JobReport",
    "NotUsed",
    "ReportData",
    "RunFacts",
    "SideFacts",
    "SplitFacts",
    "page",
]

_MOST_QUARANTINED = 1000
_MOST_STRIPS = 120


def page(data: ReportData) -> str:
    """The report of one run as the text of one HTML file, the same text for the same facts.

    data: may lack models, split, gallery, or a training that ended well; what is absent is left out or said to be.
    Lists are bounded: 1,000 quarantined and as many failed recordings, 120 strips of the gallery; the page says how
    many more there are.
    Returns HTML that is also well-formed XML, to be written as UTF-8.
    Raises Impossible where folds of one model were judged with different labels.
    """
    models, worth = model_views([job for job in data.jobs if not is_of_generator(job)]), effects(data.jobs)
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            data=data,
            run=data.run,
            dataset=data.dataset,
            split=data.split,
            models=models,
            mistakes={model.name: _mistakes(data, model) for model in models},
            leaks=leaks(models, data.jobs),
            effects=worth,
            effect_reach=reach_of([effect.comparison.interval for effect in worth]),
            generators=generator_views(data.jobs, worth),
            verdict=wording.verdict(models, _heard(data.split)),
            side_bars=_side_bars(data.dataset),
            rates=rate_timeline(data.run.rates, data.run.rate_unit),
            gallery=[(strip, strip_figure(strip)) for strip in data.gallery[:_MOST_STRIPS]],
            quarantine_counts=_quarantine_counts(data),
            quarantined=data.quarantined[:_MOST_QUARANTINED],
            failed=data.failed[:_MOST_QUARANTINED],
            n_failed=data.n_failed,
            troubles=[job for job in data.jobs if has_trouble(job)],
        )
    )
    return text + "\n"


def _mistakes(data: ReportData, model: ModelView) -> list[tuple[Mistake, str]]:
    """Those of the surest mistakes of a model that there is a strip of, each with its picture."""
    found = ((mistake, data.mistakes.get((model.name, mistake.recording))) for mistake in model.worst)
    return [(mistake, strip_figure(strip)) for mistake, strip in found if strip]


def _heard(split: SplitFacts | None) -> str:
    if split is None or not (split.checks or split.leaks):
        return "recordings"
    return "unseen recordings" if split.is_honest else "recordings, some of which it had learnt from,"


def _side_bars(dataset: DatasetFacts) -> str:
    sides = dict.fromkeys(side for each in dataset.classes for side in each.chunks)
    counts = {side: [each.chunks.get(side, 0) for each in dataset.classes] for side in sides}
    unit = "chunks" if counts else "recordings"
    counts = counts or {"all": [each.recordings for each in dataset.classes]}
    return side_bars([each.label for each in dataset.classes], counts, unit) if dataset.classes else ""


def _quarantine_counts(data: ReportData) -> Mapping[str, int]:
    counts = data.quarantine_counts or Counter(each.kind for each in data.quarantined)
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    for name in ("percent", "count", "duration", "size", "spread", "interval", "trainings", "p_value"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["effect_figure"] = effect_figure
    return environment


def _clean(value: object) -> object:
    # markup made here is already clean, and its type is what keeps it from being escaped again
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

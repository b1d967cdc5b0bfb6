"""Render a report as one self-contained HTML file: no network addresses, no other files.

It has no script, except the one that searches and sorts the tables of more than 200 classes. The page's policy allows
that script by its digest, and no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from domain.digests import policy_source
from tasks.report.data import (
    ClassFacts,
    DatasetFacts,
    GalleryStrip,
    JobReport,
    ReportData,
    RunFacts,
    SplitFacts,
    SubsetFacts,
    UnusedRecording,
)
from tasks.report.html import wording
from tasks.report.html.generator_views import generator_views, is_of_generator
from tasks.report.html.model_views import MOST_DRAWN, ModelView, has_failed, leaks, model_views
from tasks.report.plots.curves import rate_timeline, subset_bars
from tasks.report.plots.drawing import printable
from tasks.report.plots.effect import axis_limit, effect_figure
from tasks.report.plots.spectrograms import strip_figure
from tasks.report.scoring.ablation import effects
from tasks.report.scoring.model_outcomes import Remaining, remaining
from tasks.report.scoring.scores import Misclassification

__all__ = [
    "ClassFacts",
    "DatasetFacts",
    "GalleryStrip",
    "JobReport",
    "ReportData",
    "RunFacts",
    "SplitFacts",
    "SubsetFacts",
    "UnusedRecording",
    "page",
]

_MAX_LISTED = 1000
_MAX_STRIPS = 120


def page(data: ReportData) -> str:
    """Render the report of one run.

    data: may lack models, a split, a gallery or finished trainings; the page omits or mentions what is missing.
    Lists are limited to 1,000 recordings each, quarantined, used in part or failed, and to 120 strips; the page states
    the totals.
    Above 200 classes, the matrix shows the most confused ones, and tables with a search replace the other figures.
    Returns HTML that is also well-formed XML, to be encoded as UTF-8. The same data give the same text.
    Raises: Impossible if the folds of a model were evaluated with different labels.
    """
    models, found_effects = model_views([job for job in data.jobs if not is_of_generator(job)]), effects(data.jobs)
    script = _script() if len(data.dataset.classes) > MOST_DRAWN else ""
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            data=data,
            run=data.run,
            dataset=data.dataset,
            split=data.split,
            models=models,
            error_strips={model.name: _error_strips(data, model) for model in models},
            leaks=leaks(models, data.jobs),
            without=_without_crossing(data, models),
            effects=found_effects,
            effect_limit=axis_limit([effect.comparison.interval for effect in found_effects]),
            generators=generator_views(data.jobs, found_effects),
            verdict=wording.verdict(models, _test_recordings(data.split)),
            subset_bars=_subset_bars(data.dataset),
            rates=rate_timeline(data.run.rates, data.run.rate_unit),
            gallery=[(strip, strip_figure(strip)) for strip in data.gallery[:_MAX_STRIPS]],
            quarantine_counts=_quarantine_counts(data),
            quarantined=data.quarantined[:_MAX_LISTED],
            used_in_part=data.used_in_part[:_MAX_LISTED],
            failed=data.failed[:_MAX_LISTED],
            n_failed=data.n_failed,
            failures=[job for job in data.jobs if has_failed(job)],
            script=script,
            script_digest=policy_source(script),
        )
    )
    return text + "\n"


def _script() -> str:
    return (Path(__file__).parent / "table.js").read_text("utf-8")


def _error_strips(data: ReportData, model: ModelView) -> list[tuple[Misclassification, str]]:
    """Return the model's most confident errors that have a strip, each with its SVG."""
    found = ((error, data.error_strips.get((model.name, error.recording))) for error in model.confident_errors)
    return [(error, strip_figure(strip)) for error, strip in found if strip]


def _without_crossing(data: ReportData, models: Sequence[ModelView]) -> dict[str, Remaining | None]:
    """Return the scores of each evaluated model without the groups that cross; empty if none does."""
    groups = data.split.crossing_groups if data.split else frozenset()
    own = [job for job in data.jobs if job.variant is None]
    return {model.name: remaining(model.name, own, groups) for model in models if groups and model.scores}


def _test_recordings(split: SplitFacts | None) -> str:
    if split is None or not (split.checks or split.leaks):
        return "recordings"
    return "unseen recordings" if split.is_honest else "recordings (some of them also in training)"


def _subset_bars(dataset: DatasetFacts) -> str:
    if len(dataset.classes) > MOST_DRAWN:
        return ""
    subsets = dict.fromkeys(subset for each in dataset.classes for subset in each.chunks)
    counts = {subset: [each.chunks.get(subset, 0) for each in dataset.classes] for subset in subsets}
    unit = "chunks" if counts else "recordings"
    counts = counts or {"all": [each.recordings for each in dataset.classes]}
    return subset_bars([each.label for each in dataset.classes], counts, unit) if dataset.classes else ""


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
    # Markup is already clean; converting it to a plain string would make Jinja escape it again.
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

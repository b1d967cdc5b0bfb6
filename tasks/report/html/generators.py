"""The jobs of one generator, over all its folds, gathered into what the page says about its synthetic examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tasks.model.variants import WITH_SYNTHETIC, factor_of
from tasks.model.zoo import MODELS, is_generator
from tasks.report.data import JobReport, Plain, trained_with
from tasks.report.html.models import has_trouble, trouble
from tasks.report.plots.curves import learning_curve
from tasks.report.plots.pairs import pairs_figure
from tasks.report.scoring.ablation import Effect
from tasks.report.scoring.likeness import COLLAPSED_BELOW, FEWEST_HELD_OUT, Likeness

_LABELS_SHOWN = 30


@dataclass(frozen=True)
class JudgedTraining:
    """One training of a generator. name: its fold, as the plan numbers it.  train_s: seconds."""

    name: str
    likeness: Likeness
    train_s: float


@dataclass(frozen=True)
class GeneratorView:
    """One section of the page.

    worth: of its synthetic examples to the judging classifier, over all folds and seeds; None where not measured.
    pictures: an SVG, "" where nothing was judged.  collapsed: classes that are painted alike in any fold.
    """

    name: str
    judge: str
    trainings: tuple[JudgedTraining, ...]
    worth: Effect | None
    pictures: str
    loss_curve: str
    troubles: tuple[str, ...]
    parameters: Mapping[str, Plain]

    @property
    def frechet(self) -> float:
        """Mean over the trainings."""
        return fmean(each.likeness.frechet for each in self.trainings)

    @property
    def real_frechet(self) -> float:
        """Mean over the trainings."""
        return fmean(each.likeness.real_frechet for each in self.trainings)

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The classes whose synthetic examples hardly differ in at least one training."""
        return tuple(dict.fromkeys(label for each in self.trainings for label in each.likeness.collapsed))

    @property
    def is_copying(self) -> bool:
        """Whether any training gave suspiciously many examples close to real ones it had learnt from."""
        return any(each.likeness.is_copying(len(self.trainings)) for each in self.trainings)

    @property
    def is_too_small_for_frechet(self) -> bool:
        """Whether there were too few unheard recordings to tell painted ones from real ones by their spread."""
        return any(each.likeness.n_held_out < FEWEST_HELD_OUT for each in self.trainings)

    @property
    def share_usual(self) -> float:
        """Of unheard recordings, those that would be called too near; mean over the trainings."""
        return fmean(each.likeness.copies.share_usual for each in self.trainings)

    @property
    def n_looked_at(self) -> int:
        """Training examples that painted ones were compared with, in the largest of the trainings."""
        return max(each.likeness.copies.n_learnt_from for each in self.trainings)

    @property
    def collapsed_below(self) -> float:
        """The share of real diversity below which a class counts as collapsed."""
        return COLLAPSED_BELOW

    @property
    def helps(self) -> bool | None:
        """Whether the classifier is better with its examples; None where that may be chance."""
        if self.worth is None or not self.worth.is_significant:
            return None
        return self.worth.comparison.difference > 0


def is_of_generator(job: JobReport) -> bool:
    """Whether the job trains or judges a generator, which has no accuracy and no place among the scores."""
    return is_generator(job.model)


def generator_views(jobs: Sequence[JobReport], effects: Sequence[Effect]) -> tuple[GeneratorView, ...]:
    """One view a generator of the run, in the order of its jobs.

    jobs: of the whole run.  effects: of the same jobs, so that a page answers one question once.
    """
    names = dict.fromkeys(job.model for job in jobs if is_of_generator(job))
    return tuple(_view(name, [job for job in jobs if job.model == name], effects) for name in names)


def _view(name: str, own: Sequence[JobReport], effects: Sequence[Effect]) -> GeneratorView:
    judge, pictures = str(MODELS[name].judge), [job.pictures for job in own if job.pictures]
    likenesses = [job.likeness for job in own if job.likeness]
    worths = (effect for effect in effects if (effect.model, effect.factor) == (judge, factor_of(WITH_SYNTHETIC)))
    return GeneratorView(
        name=name,
        judge=judge,
        trainings=tuple(_trainings(own)),
        worth=next(worths, None),
        pictures=pairs_figure(pictures[0], likenesses[0].labels[:_LABELS_SHOWN]) if pictures and likenesses else "",
        loss_curve=learning_curve([job.history for job in own if job.history], "loss"),
        troubles=tuple(trouble(job) for job in own if has_trouble(job)),
        parameters=trained_with(own),
    )


def _trainings(own: Sequence[JobReport]) -> Iterator[JudgedTraining]:
    took_s = {(job.fold, job.seed): sum(job.timings.values()) for job in own if job.kind == "train"}
    several = len({job.seed for job in own}) > 1
    for job in own:
        if job.likeness:
            name = "the only split" if job.fold is None else f"fold {job.fold}"
            seed = f", seed {job.seed}" if several else ""
            yield JudgedTraining(name + seed, job.likeness, took_s.get((job.fold, job.seed), 0.0))

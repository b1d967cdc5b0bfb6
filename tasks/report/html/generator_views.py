"""Views of generators for the page, each collected from the jobs of all its folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tasks.model.spec import MOST_EMBEDDED
from tasks.model.variants import WITH_SYNTHETIC, factor_of
from tasks.model.zoo import MODELS, is_generator
from tasks.report.data import JobReport, Plain, training_parameters
from tasks.report.html.model_views import failure_line, has_failed
from tasks.report.plots.curves import learning_curve
from tasks.report.plots.sample_grid import sample_grid
from tasks.report.scoring.ablation import Effect
from tasks.report.scoring.generator_evaluation import COLLAPSE_THRESHOLD, MIN_HELD_OUT, GeneratorEvaluation

_LABELS_SHOWN = 30


@dataclass(frozen=True)
class EvaluatedTraining:
    """One training of a generator with its evaluation.  name: its fold and seed.  train_s: seconds."""

    name: str
    evaluation: GeneratorEvaluation
    train_s: float


@dataclass(frozen=True)
class GeneratorView:
    """One section of the page.

    evaluator: the classifier that evaluates the generator.
    effect: effect of the synthetic examples on the evaluator, over all folds and seeds; None if not measured.
    sample_grid: an SVG, "" if no training was evaluated.
    """

    name: str
    evaluator: str
    trainings: tuple[EvaluatedTraining, ...]
    effect: Effect | None
    sample_grid: str
    loss_curve: str
    failures: tuple[str, ...]
    parameters: Mapping[str, Plain]

    @property
    def frechet(self) -> float:
        """Mean Fréchet distance of synthetic examples to unseen ones, over the trainings."""
        return fmean(each.evaluation.frechet for each in self.trainings)

    @property
    def real_frechet(self) -> float:
        """Mean Fréchet distance of training examples to unseen ones, over the trainings."""
        return fmean(each.evaluation.real_frechet for each in self.trainings)

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The classes with too little diversity in at least one training."""
        return tuple(dict.fromkeys(label for each in self.trainings for label in each.evaluation.collapsed))

    @property
    def is_copying(self) -> bool:
        """True if any training generated significantly many near copies of its training examples."""
        return any(each.evaluation.is_copying(len(self.trainings)) for each in self.trainings)

    @property
    def is_too_small_for_frechet(self) -> bool:
        """True if a test subset is too small for the Fréchet distance to tell synthetic from real examples."""
        return any(each.evaluation.n_held_out < MIN_HELD_OUT for each in self.trainings)

    @property
    def share_usual(self) -> float:
        """Expected share of unseen recordings that the copy check would call too near; mean over the trainings."""
        return fmean(each.evaluation.copies.share_usual for each in self.trainings)

    @property
    def n_compared(self) -> int:
        """Number of training examples in the copy check, maximum over the trainings."""
        return max(each.evaluation.copies.n_training for each in self.trainings)

    @property
    def n_labels(self) -> int:
        """Number of classes."""
        return len(self.trainings[0].evaluation.labels)

    @property
    def n_labels_shown(self) -> int:
        """Number of classes in the sample grid, the first ones."""
        return min(self.n_labels, _LABELS_SHOWN)

    @property
    def most_examples(self) -> int:
        """Number of examples of a subset that are compared at most."""
        return MOST_EMBEDDED

    @property
    def collapsed_below(self) -> float:
        """The share of real diversity below which a class counts as collapsed."""
        return COLLAPSE_THRESHOLD

    @property
    def helps(self) -> bool | None:
        """True if synthetic examples help the evaluator, False if they harm it; None if not significant or measured."""
        if self.effect is None or not self.effect.is_significant:
            return None
        return self.effect.comparison.difference > 0


def is_of_generator(job: JobReport) -> bool:
    """Return True if the job trains or evaluates a generator, which has no accuracy."""
    return is_generator(job.model)


def generator_views(jobs: Sequence[JobReport], effects: Sequence[Effect]) -> tuple[GeneratorView, ...]:
    """Return one view per generator of the run, in the order of its jobs.

    jobs: all jobs of the run.  effects: the ablation effects of these jobs, the same as in the ablation table.
    """
    names = dict.fromkeys(job.model for job in jobs if is_of_generator(job))
    return tuple(_view(name, [job for job in jobs if job.model == name], effects) for name in names)


def _view(name: str, own: Sequence[JobReport], effects: Sequence[Effect]) -> GeneratorView:
    evaluator, samples = str(MODELS[name].evaluator), [job.samples for job in own if job.samples]
    evaluations = [job.generator_evaluation for job in own if job.generator_evaluation]
    matching = (effect for effect in effects if (effect.model, effect.factor) == (evaluator, factor_of(WITH_SYNTHETIC)))
    return GeneratorView(
        name=name,
        evaluator=evaluator,
        trainings=tuple(_trainings(own)),
        effect=next(matching, None),
        sample_grid=sample_grid(samples[0], evaluations[0].labels[:_LABELS_SHOWN]) if samples and evaluations else "",
        loss_curve=learning_curve([job.history for job in own if job.history], "loss"),
        failures=tuple(failure_line(job) for job in own if has_failed(job)),
        parameters=training_parameters(own),
    )


def _trainings(own: Sequence[JobReport]) -> Iterator[EvaluatedTraining]:
    took_s = {(job.fold, job.seed): sum(job.timings.values()) for job in own if job.kind == "train"}
    several = len({job.seed for job in own}) > 1
    for job in own:
        if job.generator_evaluation:
            name = "single split" if job.fold is None else f"fold {job.fold}"
            seed = f", seed {job.seed}" if several else ""
            yield EvaluatedTraining(name + seed, job.generator_evaluation, took_s.get((job.fold, job.seed), 0.0))

"""The jobs of a run and which of them each one needs. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

from domain.subsets import HOLDOUT, Subset, is_unseen
from domain.work import PlannedJob
from orchestrator.planning.candidates import Candidate
from orchestrator.planning.request import Request
from tasks.dataset.split import leaky
from tasks.model.variants import WITH_SYNTHETIC

Part = tuple[int, int]
"""Fold and subset."""


def jobs(request: Request, parts: Iterable[Part], candidates: Sequence[Candidate]) -> list[PlannedJob]:
    """The jobs of a run, each after those it needs.

    parts: the (fold, subset) pairs that hold recordings. Every part is packed once for every preset; the training of a
    fold takes the parts of the other folds, its evaluation those of its own. Unchanged models come before variants.
    candidates: unique by preset, model and variant; a candidate comes after the generator it needs.
    """
    if request.until == "preprocess":
        return []
    ordered, graph = sorted(set(parts)), _Graph(is_evaluated=request.until == "all")
    for preset in sorted({candidate.preset for candidate in candidates}):
        graph.pack(preset, ordered)
    if request.until == "pack":
        return graph.jobs
    schedule = _scheduled(candidates, sorted({fold for fold, _ in ordered}))
    for (candidate, fold), seed in product(schedule, request.seeds):
        graph.train(candidate, fold, seed)
    if request.until == "all":
        for (candidate, fold), seed in product([each for each in schedule if each[0].evaluator], request.seeds):
            graph.evaluate_generator(candidate, fold, seed)
        graph.meter_leaks(candidates if request.leak_meter else (), request.seeds[0])
        graph.render()
    return graph.jobs


def _scheduled(candidates: Sequence[Candidate], folds: Sequence[int]) -> list[tuple[Candidate, int]]:
    own = [candidate for candidate in candidates if candidate.variant is None]
    changed = [candidate for candidate in candidates if candidate.variant is not None]
    return [(candidate, fold) for some in (own, changed) for fold in folds for candidate in some]


class _Graph:
    """The jobs planned so far, and the positions of those that later ones need."""

    def __init__(self, *, is_evaluated: bool) -> None:
        self.jobs: list[PlannedJob] = []
        self._is_evaluated = is_evaluated
        self._packs: dict[tuple[int, str | None], dict[Part, int]] = {}
        self._trainings: dict[tuple[str, int, int], int] = {}
        self._evaluations: dict[tuple[str, str | None, int, int], int] = {}

    def _add(self, job: PlannedJob) -> int:
        self.jobs.append(job)
        return len(self.jobs) - 1

    def pack(self, preset: int, parts: Iterable[Part], variant: str | None = None) -> None:
        """Packs every part once."""
        self._packs[preset, variant] = {
            (fold, subset): self._add(PlannedJob("pack", fold=fold, subset=subset, preset=preset, variant=variant))
            for fold, subset in parts
        }

    def train(self, candidate: Candidate, fold: int, seed: int) -> None:
        """A training, and its evaluation where that is requested."""
        model, preset, variant = candidate.model, candidate.preset, candidate.variant
        packs = self._packs[preset, leaky.VARIANT if variant == leaky.VARIANT else None]
        unseen = [at for part, at in packs.items() if is_unseen(*part, fold)]
        needs = [at for part, at in packs.items() if not is_unseen(*part, fold)]
        if candidate.generator is not None:
            needs.append(self._trainings[candidate.generator, fold, seed])
        training = PlannedJob("train", model, seed, fold, needs=tuple(needs), preset=preset, variant=variant)
        at = self._add(training)
        if variant is None:
            self._trainings[model, fold, seed] = at
        if self._is_evaluated and candidate.is_evaluated and candidate.evaluator is None:
            evaluation = self._add(replace(training, kind="evaluate", needs=(at, *unseen)))
            self._evaluations[model, variant, fold, seed] = evaluation

    def evaluate_generator(self, candidate: Candidate, fold: int, seed: int) -> None:
        """The evaluation of a generator, after its evaluator was evaluated without and with its examples."""
        evaluator = str(candidate.evaluator)
        trained = [self._trainings[model, fold, seed] for model in (candidate.model, evaluator)]
        evaluated = [self._evaluations[evaluator, variant, fold, seed] for variant in (None, WITH_SYNTHETIC)]
        needs = (*trained, *evaluated, *self._packs[candidate.preset, None].values())
        self._add(PlannedJob("evaluate", candidate.model, seed, fold, needs=needs, preset=candidate.preset))

    def meter_leaks(self, candidates: Iterable[Candidate], seed: int) -> None:
        """Every unchanged model once more, on chunks shuffled over the subsets."""
        own = [each for each in candidates if each.variant is None and each.is_evaluated and each.evaluator is None]
        for preset in sorted({candidate.preset for candidate in own}):
            self.pack(preset, ((HOLDOUT, subset) for subset in Subset), leaky.VARIANT)
        for candidate in own:
            self.train(candidate._replace(variant=leaky.VARIANT), HOLDOUT, seed)

    def render(self) -> None:
        """The report, after all other jobs."""
        self._add(PlannedJob("render", needs=tuple(range(len(self.jobs))), even_failed=True))

"""Who has to wait for whom: the jobs of a run. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from domain.subsets import HOLDOUT, Subset, is_unseen
from orchestrator.planning.plan import Request
from tasks.dataset.split import leaky
from tasks.model.variants import WITH_SYNTHETIC

Part = tuple[int, int]
"""Fold and side."""


class Candidate(NamedTuple):
    """A model to train with every seed in every fold, as it is or under one change.

    preset: its place among the presets of the run.  variant: the change, None for the model as it is.
    learns_from: a model whose result of the same fold and seed its training takes beside the shards.
    is_judged: False for one that is only trained because another learns from it.
    judge: of a generator, the model that judges it: as it is, and with what the generator has left to learn from.
    """

    model: str
    preset: int = 0
    variant: str | None = None
    learns_from: str | None = None
    is_judged: bool = True
    judge: str | None = None


@dataclass(frozen=True)
class PlannedJob:
    """One job; `needs` are positions in the list of jobs, `preset` is one among the presets of the run."""

    kind: str
    model: str | None = None
    seed: int | None = None
    fold: int | None = None
    side: int | None = None
    needs: tuple[int, ...] = ()
    even_failed: bool = False
    preset: int = 0
    variant: str | None = None


def jobs(request: Request, parts: Iterable[Part], candidates: Sequence[Candidate]) -> list[PlannedJob]:
    """The jobs of a run, each after those it needs.

    parts: the (fold, side) pairs that hold recordings. For every preset every part is packed once; each fold's
    training takes the parts of the other folds, its judging its own. Models as they are come before their variants.
    candidates: of the same preset and model, variants apart, one; whoever learns from another comes after it.
    """
    if request.until == "preprocess":
        return []
    ordered, graph = sorted(set(parts)), _Graph(is_judged=request.until == "all")
    for preset in sorted({candidate.preset for candidate in candidates}):
        graph.pack(preset, ordered)
    if request.until == "pack":
        return graph.jobs
    turns = _in_turn(candidates, sorted({fold for fold, _ in ordered}))
    for (candidate, fold), seed in product(turns, request.seeds):
        graph.train(candidate, fold, seed)
    if request.until == "all":
        for (candidate, fold), seed in product([turn for turn in turns if turn[0].judge], request.seeds):
            graph.judge_generator(candidate, fold, seed)
        graph.meter_leaks(candidates if request.leak_meter else (), request.seeds[0])
        graph.render()
    return graph.jobs


def _in_turn(candidates: Sequence[Candidate], folds: Sequence[int]) -> list[tuple[Candidate, int]]:
    own = [candidate for candidate in candidates if candidate.variant is None]
    changed = [candidate for candidate in candidates if candidate.variant is not None]
    return [(candidate, fold) for some in (own, changed) for fold in folds for candidate in some]


class _Graph:
    """Jobs as they are planned, and where in their list those stand that later ones need."""

    def __init__(self, *, is_judged: bool) -> None:
        self.jobs: list[PlannedJob] = []
        self._is_judged = is_judged
        self._packs: dict[tuple[int, str | None], dict[Part, int]] = {}
        self._trainings: dict[tuple[str, int, int], int] = {}
        self._judgings: dict[tuple[str, str | None, int, int], int] = {}

    def _add(self, job: PlannedJob) -> int:
        self.jobs.append(job)
        return len(self.jobs) - 1

    def pack(self, preset: int, parts: Iterable[Part], variant: str | None = None) -> None:
        """Every part once."""
        self._packs[preset, variant] = {
            (fold, side): self._add(PlannedJob("pack", fold=fold, side=side, preset=preset, variant=variant))
            for fold, side in parts
        }

    def train(self, candidate: Candidate, fold: int, seed: int) -> None:
        """A training, and its judging where that is wanted."""
        model, preset, variant = candidate.model, candidate.preset, candidate.variant
        packs = self._packs[preset, leaky.VARIANT if variant == leaky.VARIANT else None]
        unseen = [at for part, at in packs.items() if is_unseen(*part, fold)]
        needs = [at for part, at in packs.items() if not is_unseen(*part, fold)]
        if candidate.learns_from is not None:
            needs.append(self._trainings[candidate.learns_from, fold, seed])
        training = PlannedJob("train", model, seed, fold, needs=tuple(needs), preset=preset, variant=variant)
        at = self._add(training)
        if variant is None:
            self._trainings[model, fold, seed] = at
        if self._is_judged and candidate.is_judged and candidate.judge is None:
            judging = self._add(replace(training, kind="evaluate", needs=(at, *unseen)))
            self._judgings[model, variant, fold, seed] = judging

    def judge_generator(self, candidate: Candidate, fold: int, seed: int) -> None:
        """The judging of a generator: after its judge was trained, and judged without and with its examples."""
        judge = str(candidate.judge)
        trained = [self._trainings[model, fold, seed] for model in (candidate.model, judge)]
        judged = [self._judgings[judge, variant, fold, seed] for variant in (None, WITH_SYNTHETIC)]
        needs = (*trained, *judged, *self._packs[candidate.preset, None].values())
        self._add(PlannedJob("evaluate", candidate.model, seed, fold, needs=needs, preset=candidate.preset))

    def meter_leaks(self, candidates: Iterable[Candidate], seed: int) -> None:
        """Every model as it is once more, on chunks shuffled over the sides."""
        own = [each for each in candidates if each.variant is None and each.is_judged and each.judge is None]
        for preset in sorted({candidate.preset for candidate in own}):
            self.pack(preset, ((HOLDOUT, subset) for subset in Subset), leaky.VARIANT)
        for candidate in own:
            self.train(candidate._replace(variant=leaky.VARIANT), HOLDOUT, seed)

    def render(self) -> None:
        """The report, after everything."""
        self._add(PlannedJob("render", needs=tuple(range(len(self.jobs))), even_failed=True))

from __future__ import annotations

from dataclasses import replace

from domain.subsets import HOLDOUT
from orchestrator.planning.candidates import Candidate
from orchestrator.planning.graph import jobs
from orchestrator.planning.request import Request
from tasks.dataset.split import leaky

HOLDOUT_PARTS = [(-1, 0), (-1, 1), (-1, 2)]
FOLD_PARTS = [(fold, subset) for fold in (1, 2, 3) for subset in (0, 1)]
CNN, MLP, GAN = Candidate("cnn"), Candidate("mlp"), Candidate("gan", is_evaluated=False)


def test_a_holdout_trains_on_train_and_valid_and_is_evaluated_on_test() -> None:
    planned = jobs(Request(), HOLDOUT_PARTS, [CNN])
    assert [job.kind for job in planned] == ["pack", "pack", "pack", "train", "evaluate", "render"]
    assert [planned[at].subset for at in planned[3].needs] == [0, 1]
    assert [planned[at].kind for at in planned[4].needs] == ["train", "pack"]
    assert planned[planned[4].needs[1]].subset == 2


def test_no_fold_is_trained_on_and_judged_on_by_the_same_network() -> None:
    planned = jobs(Request(seeds=(0, 1)), FOLD_PARTS, [CNN, MLP])
    trained = [job for job in planned if job.kind == "train"]
    assert len(trained) == 3 * 2 * 2
    for job in trained:
        assert {planned[at].fold for at in job.needs} == {1, 2, 3} - {job.fold}
    for job in (job for job in planned if job.kind == "evaluate"):
        train, *packs = (planned[at] for at in job.needs)
        assert (train.model, train.seed, train.fold) == (job.model, job.seed, job.fold)
        assert {pack.fold for pack in packs} == {job.fold}
        assert {pack.subset for pack in packs} == {0, 1}


def test_every_job_comes_after_those_it_needs_and_the_report_after_all() -> None:
    planned = jobs(Request(), FOLD_PARTS, [CNN, MLP])
    assert all(needed < at for at, job in enumerate(planned) for needed in job.needs)
    assert planned[-1].kind == "render"
    assert planned[-1].needs == tuple(range(len(planned) - 1))
    assert [job.even_failed for job in planned] == [False] * (len(planned) - 1) + [True]


def test_until_names_the_last_stage() -> None:
    assert jobs(Request(until="preprocess"), HOLDOUT_PARTS, [CNN]) == []
    assert {job.kind for job in jobs(Request(until="pack"), HOLDOUT_PARTS, [CNN])} == {"pack"}
    assert {job.kind for job in jobs(Request(until="train"), HOLDOUT_PARTS, [CNN])} == {"pack", "train"}


def test_models_of_different_presets_learn_from_shards_of_their_own() -> None:
    planned = jobs(Request(), FOLD_PARTS, [CNN, MLP._replace(preset=1)])
    packs = [job for job in planned if job.kind == "pack"]
    assert [(job.preset, job.fold, job.subset) for job in packs] == [
        (preset, fold, subset) for preset in (0, 1) for fold, subset in FOLD_PARTS
    ]
    for job in (job for job in planned if job.kind in ("train", "evaluate")):
        assert job.preset == {"cnn": 0, "mlp": 1}[str(job.model)]
        needed = [planned[at] for at in job.needs]
        assert {other.preset for other in needed} == {job.preset}
        assert all((other.fold == job.fold) == (job.kind == "evaluate") for other in needed if other.kind == "pack")


def test_the_leak_meter_trains_every_model_once_more_on_shuffled_chunks_and_touches_nothing_else() -> None:
    request, candidates = Request(seeds=(3, 4)), [CNN, MLP._replace(preset=1)]
    honest, metered = (jobs(each, FOLD_PARTS, candidates) for each in (request, replace(request, leak_meter=True)))
    assert metered[: len(honest) - 1] == honest[:-1]
    added = metered[len(honest) - 1 : -1]
    assert {(job.fold, job.variant) for job in added} == {(HOLDOUT, leaky.VARIANT)}
    assert [(job.kind, job.model, job.seed) for job in added if job.model] == [
        (kind, model, 3) for model in ("cnn", "mlp") for kind in ("train", "evaluate")
    ]
    for job in (job for job in added if job.model):
        needed = [metered[at] for at in job.needs]
        assert {other.preset for other in needed} == {job.preset}
        assert {other.variant for other in needed} == {leaky.VARIANT}
        subsets = [other.subset for other in needed if other.kind == "pack"]
        assert subsets == ([2] if job.kind == "evaluate" else [0, 1])
        assert (needed[0].kind, needed[0].model) == (("train", job.model) if job.kind == "evaluate" else ("pack", None))
    assert set(metered[-1].needs) == set(range(len(metered) - 1))


def test_a_variant_is_trained_and_judged_after_its_model_in_the_same_folds_with_the_same_seeds() -> None:
    request, quiet = Request(seeds=(3, 4)), CNN._replace(preset=1, variant="without denoising")
    plain, varied = jobs(request, FOLD_PARTS, [CNN]), jobs(request, FOLD_PARTS, [quiet, CNN])

    def trained(planned, variant):
        return [(job.kind, job.fold, job.seed) for job in planned if job.model and job.variant == variant]

    assert trained(varied, None) == trained(varied, "without denoising") == trained(plain, None)
    assert [job.variant for job in varied if job.model] == [None] * 12 + ["without denoising"] * 12
    for job in (job for job in varied if job.variant):
        assert {varied[at].preset for at in job.needs} == {1}
        assert {varied[at].variant for at in job.needs if varied[at].kind == "train"} <= {job.variant}


def test_a_variant_generator_the_gan_of_its_own_fold_and_seed_which_nobody_judges() -> None:
    fed = CNN._replace(variant="with synthetic examples", generator="gan")
    planned = jobs(Request(seeds=(0, 1), leak_meter=True), FOLD_PARTS, [CNN, GAN, fed])
    assert {job.kind for job in planned if job.model == "gan"} == {"train"}
    for job in (job for job in planned if job.kind == "train" and job.variant == fed.variant):
        [gan] = [planned[at] for at in job.needs if planned[at].kind == "train"]
        assert (gan.model, gan.fold, gan.seed) == ("gan", job.fold, job.seed)
    assert all(
        planned[at].model != "gan" for job in planned if job.variant != fed.variant and job.model for at in job.needs
    )


def test_a_generator_is_evaluated_last_by_what_its_judge_became_without_and_with_its_examples() -> None:
    painter = Candidate("gan", evaluator="cnn")
    fed = CNN._replace(variant="with synthetic examples", generator="gan")
    planned = jobs(Request(seeds=(0, 1), leak_meter=True), FOLD_PARTS, [painter, CNN, fed])
    judgings = [job for job in planned if (job.kind, job.model) == ("evaluate", "gan")]
    assert [(job.fold, job.seed) for job in judgings] == [(fold, seed) for fold in (1, 2, 3) for seed in (0, 1)]
    for job in judgings:
        needed = [planned[at] for at in job.needs if planned[at].kind != "pack"]
        assert [(other.kind, other.model, other.variant) for other in needed] == [
            ("train", "gan", None), ("train", "cnn", None), ("evaluate", "cnn", None), ("evaluate", "cnn", fed.variant),
        ]  # fmt: skip
        assert {(other.fold, other.seed) for other in needed} == {(job.fold, job.seed)}
        assert {planned[at].fold for at in job.needs if planned[at].kind == "pack"} == {1, 2, 3}
    assert not [job for job in planned if job.model == "gan" and job.variant == leaky.VARIANT]


def test_nothing_but_the_variant_waits_for_a_generator_so_that_its_failure_costs_no_other_model() -> None:
    painter, fed = Candidate("gan", evaluator="cnn"), CNN._replace(variant="with synthetic examples", generator="gan")
    planned = jobs(Request(), FOLD_PARTS, [CNN, MLP, painter, fed])
    behind = {at for at, job in enumerate(planned) if job.model == "gan"}
    for at, job in enumerate(planned):
        if behind & set(job.needs):
            behind.add(at)
    assert {(planned[at].model, planned[at].variant) for at in behind} == {
        ("gan", None), ("cnn", fed.variant), (None, None),
    }  # fmt: skip
    assert planned[-1].even_failed


def test_a_generator_that_is_only_trained_is_not_judged() -> None:
    planned = jobs(Request(until="train"), FOLD_PARTS, [CNN, Candidate("gan", evaluator="cnn")])
    assert {job.kind for job in planned} == {"pack", "train"}

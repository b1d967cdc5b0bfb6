from __future__ import annotations

from dataclasses import replace

from orchestrator.plan import Placed, Request, items, jobs, split_digest
from tasks.dataset import leaky

HOLDOUT_PARTS = [(-1, 0), (-1, 1), (-1, 2)]
ONE = {"cnn": 0, "mlp": 0}
ONLY_CNN = {"cnn": 0}
FOLD_PARTS = [(fold, side) for fold in (1, 2, 3) for side in (0, 1)]


def placed(number: int, side: int = 0, fold: int = -1, n_spans: int = 1, duration_s: float = 10.0) -> Placed:
    return Placed(number, f"{number:032x}", number, "wren", "Ann", fold, side, n_spans, duration_s)


def test_every_span_is_an_item_and_its_work_follows_its_length() -> None:
    [first, second, third] = items([placed(1, n_spans=3, duration_s=160.0)], "split", copies=0, span_s=75.0)
    assert [first.span, second.span, third.span] == [0, 1, 2]
    assert first.work_s == second.work_s > third.work_s


def test_only_what_may_be_trained_on_is_augmented() -> None:
    found = items([placed(1, side=0), placed(2, side=1), placed(3, side=2), placed(4, side=0, fold=2)], "s", 2, 75.0)
    copies = [(item.recording_id, item.copy) for item in found]
    assert copies == [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2)]


def test_the_packed_order_follows_from_split_and_recording_alone() -> None:
    one = {item.recording_id: item.order_key for item in items([placed(1), placed(2)], "s", 0, 75.0)}
    other = {item.recording_id: item.order_key for item in items([placed(2), placed(1)], "s", 0, 75.0)}
    assert one == other
    assert one != {item.recording_id: item.order_key for item in items([placed(1), placed(2)], "t", 0, 75.0)}
    assert all(-(2**63) <= key < 2**63 for key in one.values())


def test_a_split_is_named_by_where_every_recording_stands() -> None:
    digest = split_digest("drawn", 0, [placed(1), placed(2)])
    assert digest != split_digest("drawn", 0, [placed(1), placed(2, side=2)])
    assert digest != split_digest("drawn", 0, [placed(1), placed(2)._replace(label="robin")])
    assert digest != split_digest("drawn", 1, [placed(1), placed(2)])
    assert digest == split_digest("drawn", 0, [placed(1), placed(2)])


def test_a_holdout_trains_on_train_and_valid_and_is_judged_on_test() -> None:
    planned = jobs(Request(), HOLDOUT_PARTS, ONLY_CNN)
    assert [job.kind for job in planned] == ["pack", "pack", "pack", "train", "evaluate", "render"]
    assert [planned[at].side for at in planned[3].needs] == [0, 1]
    assert [planned[at].kind for at in planned[4].needs] == ["train", "pack"]
    assert planned[planned[4].needs[1]].side == 2


def test_no_fold_is_trained_on_and_judged_on_by_the_same_network() -> None:
    planned = jobs(Request(models=("cnn", "mlp"), seeds=(0, 1)), FOLD_PARTS, ONE)
    trained = [job for job in planned if job.kind == "train"]
    assert len(trained) == 3 * 2 * 2
    for job in trained:
        assert {planned[at].fold for at in job.needs} == {1, 2, 3} - {job.fold}
    for job in (job for job in planned if job.kind == "evaluate"):
        train, *packs = (planned[at] for at in job.needs)
        assert (train.model, train.seed, train.fold) == (job.model, job.seed, job.fold)
        assert {pack.fold for pack in packs} == {job.fold}
        assert {pack.side for pack in packs} == {0, 1}


def test_every_job_comes_after_those_it_needs_and_the_report_after_all() -> None:
    planned = jobs(Request(models=("cnn", "mlp")), FOLD_PARTS, ONE)
    assert all(needed < at for at, job in enumerate(planned) for needed in job.needs)
    assert planned[-1].kind == "render"
    assert planned[-1].needs == tuple(range(len(planned) - 1))
    assert [job.even_failed for job in planned] == [False] * (len(planned) - 1) + [True]


def test_until_names_the_last_stage() -> None:
    assert jobs(Request(until="preprocess"), HOLDOUT_PARTS, ONLY_CNN) == []
    assert {job.kind for job in jobs(Request(until="pack"), HOLDOUT_PARTS, ONLY_CNN)} == {"pack"}
    assert {job.kind for job in jobs(Request(until="train"), HOLDOUT_PARTS, ONLY_CNN)} == {"pack", "train"}


def test_models_of_different_presets_learn_from_shards_of_their_own() -> None:
    planned = jobs(Request(models=("cnn", "mlp")), FOLD_PARTS, {"cnn": 0, "mlp": 1})
    packs = [job for job in planned if job.kind == "pack"]
    assert [(job.preset, job.fold, job.side) for job in packs] == [
        (preset, fold, side) for preset in (0, 1) for fold, side in FOLD_PARTS
    ]
    for job in (job for job in planned if job.kind in ("train", "evaluate")):
        assert job.preset == {"cnn": 0, "mlp": 1}[str(job.model)]
        needed = [planned[at] for at in job.needs]
        assert {other.preset for other in needed} == {job.preset}
        assert all((other.fold == job.fold) == (job.kind == "evaluate") for other in needed if other.kind == "pack")


def test_the_leak_meter_trains_every_model_once_more_on_shuffled_chunks_and_touches_nothing_else() -> None:
    request, presets = Request(models=("cnn", "mlp"), seeds=(3, 4)), {"cnn": 0, "mlp": 1}
    honest, metered = (jobs(each, FOLD_PARTS, presets) for each in (request, replace(request, leak_meter=True)))
    assert metered[: len(honest) - 1] == honest[:-1]
    added = metered[len(honest) - 1 : -1]
    assert {job.fold for job in added} == {leaky.FOLD}
    assert [(job.kind, job.model, job.seed) for job in added if job.model] == [
        (kind, model, 3) for model in ("cnn", "mlp") for kind in ("train", "evaluate")
    ]
    for job in (job for job in added if job.model):
        needed = [metered[at] for at in job.needs]
        assert {other.preset for other in needed} == {job.preset}
        assert {other.fold for other in needed} == {leaky.FOLD}
        sides = [other.side for other in needed if other.kind == "pack"]
        assert sides == ([2] if job.kind == "evaluate" else [0, 1])
        assert (needed[0].kind, needed[0].model) == (("train", job.model) if job.kind == "evaluate" else ("pack", None))
    assert set(metered[-1].needs) == set(range(len(metered) - 1))

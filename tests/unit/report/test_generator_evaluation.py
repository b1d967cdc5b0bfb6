"""Measures of synthetic examples with known results."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.linalg

from domain.errors import Impossible
from tasks.report.scoring.generator_evaluation import (
    CopyCheck,
    Embedded,
    GeneratorEvaluation,
    copy_check,
    diversity,
    frechet_distance,
    mean_pair_distance,
    measure_generator,
    nearest_distances,
    normal_frechet,
)

DRAW = np.random.default_rng(0)


def drawn(n, d=4, shift=0.0, scale=1.0):
    return DRAW.standard_normal((n, d)) * scale + shift


def generator_evaluation(**changed):
    facts = {
        "labels": ("a", "b", "c"), "frechet": 2.0, "real_frechet": 1.0, "copies": CopyCheck(0.9, 0.01),
        "diversity": (1.0, 0.1, None), "agreement": 0.8, "n_synthetic": 9, "n_train": 9, "n_held_out": 6,
    }  # fmt: skip
    return GeneratorEvaluation(**{**facts, **changed})


def test_the_distance_of_samples_approaches_that_of_their_distributions():
    # |3|^2 in each of four axes, and (2 - 1)^2 in each
    one, other = drawn(200_000), drawn(200_000, shift=3.0, scale=2.0)
    assert frechet_distance(one, other) == pytest.approx(4 * 9 + 4 * 1, rel=0.02)


def test_a_set_has_distance_zero_to_itself_even_with_fewer_vectors_than_dimensions():
    few = drawn(5, d=32)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)


def test_the_formula_equals_that_with_the_matrix_square_root():
    a, b = (each @ each.T for each in (drawn(6, 6), drawn(6, 6)))
    mean = drawn(6, 1)[:, 0]
    expected = mean @ mean + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert normal_frechet(mean, a, b) == pytest.approx(expected, rel=1e-6)


def test_a_shifted_distribution_is_at_the_square_of_its_shift():
    points = drawn(50)
    assert frechet_distance(points, points + 2.0) == pytest.approx(4 * 4.0)


def test_a_single_vector_is_refused():
    with pytest.raises(Impossible, match="cannot compare sets of 1 and 9 examples"):
        frechet_distance(drawn(1), drawn(9))


def test_compared_distances_use_equally_many_examples():
    few, held_out = (Embedded(drawn(n), np.zeros(n, int), np.zeros(n, int)) for n in (20, 40))
    more = Embedded(np.concatenate([few.vectors, drawn(500, shift=9.0)]), np.zeros(520, int), np.zeros(520, int))
    for synthetic, train in ((more, few), (few, more)):
        found = measure_generator(("a",), synthetic, train, held_out, [train.vectors])
        assert found.frechet == found.real_frechet == frechet_distance(few.vectors, held_out.vectors)


def test_exact_copies_are_detected():
    train, held_out = drawn(300), drawn(300)
    check = copy_check(train[:50], held_out, [train])
    assert check.ratio == pytest.approx(0, abs=1e-6)
    assert check.share_near == 1.0
    assert generator_evaluation(copies=check).is_copying(n_trainings=100)


def test_copies_of_any_training_example_are_detected():
    train, later, held_out = (Embedded(drawn(60), np.zeros(60, int), np.zeros(60, int)) for _ in range(3))
    found = measure_generator(("a",), later, train, held_out, iter([train.vectors, later.vectors]))
    assert found.is_copying()
    assert (found.n_train, found.copies.n_training) == (60, 120)
    assert not measure_generator(("a",), later, train, held_out, [train.vectors]).is_copying()


@pytest.mark.parametrize("n_held_out", [10, 15, 28, 80, 200])
def test_a_perfect_generator_is_rarely_called_copying_even_with_few_held_out_recordings(n_held_out):
    def seen(n):
        return copy_check(drawn(70, 16), drawn(n_held_out, 16), [drawn(n, 16)])

    checks = [seen(70) for _ in range(400)]
    assert np.mean([generator_evaluation(copies=check).is_copying() for check in checks]) <= 0.075
    found, usual = np.mean([check.share_near for check in checks]), checks[0].share_usual
    assert found == pytest.approx(usual, rel=0.35)


@pytest.mark.parametrize(("n_held_out", "n_copied"), [(15, 35), (80, 14)])
def test_copies_among_other_examples_are_detected(n_held_out, n_copied):
    train = drawn(70, 16)
    check = copy_check(np.concatenate([train[:n_copied], drawn(70 - n_copied, 16)]), drawn(n_held_out, 16), [train])
    assert generator_evaluation(copies=check).is_copying(n_trainings=5)


def test_unseen_examples_of_the_same_distribution_are_not_copies():
    check = copy_check(drawn(3000), drawn(3000), [drawn(500)])
    assert check.ratio == pytest.approx(1, abs=0.05)
    assert check.share_near == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize(
    ("sets", "train"),
    [((drawn(0), drawn(3)), [drawn(3)]), ((drawn(3), drawn(0)), [drawn(3)]), ((drawn(3), drawn(3)), [drawn(0)]),
     ((drawn(3), drawn(3)), [])],
)  # fmt: skip
def test_a_copy_check_needs_all_three_sets(sets, train):
    with pytest.raises(Impossible, match="the copy check needs all three"):
        copy_check(*sets, train)


def test_nearest_distances_equal_a_brute_force_search():
    points, references = drawn(1100, 3), drawn(40, 3)
    expected = [min(np.linalg.norm(point - other) for other in references) for point in points]
    found, n_others = nearest_distances(points, iter((references[:7], references[:0], references[7:])))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert n_others == 40


def test_the_mean_pair_distance_excludes_self_distances():
    assert mean_pair_distance(np.array([[0.0], [1.0], [3.0]])) == pytest.approx((1 + 2 + 3) / 3)
    assert mean_pair_distance(np.array([[0.0]])) is None


def test_repeated_examples_have_diversity_zero_and_natural_variety_one():
    labels = np.repeat([0, 1, 2], 400)
    real = Embedded(drawn(1200, 8), labels, labels)
    synthetic = Embedded(drawn(1200, 8), np.where(labels == 2, 1, labels), labels)
    synthetic.vectors[labels == 0] = 3.0
    collapsed, alike, missing = diversity(synthetic, real, 3)
    assert collapsed == pytest.approx(0, abs=1e-6)
    assert alike == pytest.approx(1, abs=0.05)
    assert missing is None


def test_collapsed_classes_are_named():
    assert generator_evaluation().collapsed == ("b",)
    assert generator_evaluation().median_diversity == pytest.approx(0.55)


def test_a_generator_evaluation_survives_json():
    evaluation = generator_evaluation()
    assert GeneratorEvaluation.from_dict(json.loads(json.dumps(evaluation.as_dict()))) == evaluation

import numpy as np
import pytest

from tasks.report.scoring.interval import effective_n, wilson_interval


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_the_published_table(right, of, low, high):
    assert wilson_interval(right / of, of) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_an_interval_stays_within_zero_and_one():
    assert wilson_interval(0.0, 1)[0] == 0.0
    assert wilson_interval(1.0, 1)[1] == 1.0


def test_recordings_all_correct_or_all_wrong_count_as_one_chunk_each():
    correct, chunks = np.tile([5, 5, 0, 5], 500), np.full(2000, 5)
    assert effective_n(correct, chunks) == pytest.approx(2000, rel=0.002)


def test_few_clusters_are_reduced_by_the_ratio_of_students_quantiles():
    # 2.093 at 19 and 3.182 at 3 degrees of freedom; 4 clusters, whose variance is taken over 3
    expected = 20 / 19 * 4 * 3 / 4 * (2.093024 / 3.182446) ** 2
    assert effective_n(np.array([5, 5, 0, 5]), np.array([5, 5, 5, 5])) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("are_alike", [True, False], ids=["alike", "a few have most of it"])
@pytest.mark.parametrize("n_clusters", [3, 5, 10])
def test_an_interval_from_few_authors_has_its_nominal_coverage(n_clusters, are_alike):
    rng, truth, n_held = np.random.default_rng(1), 0.7, 0
    for _ in range(1000):
        drawn = rng.uniform(50, 200, n_clusters) if are_alike else 30 * rng.lognormal(0, 1.2, n_clusters)
        recordings = np.ceil(drawn).astype(int)
        correct = rng.binomial(recordings, rng.beta(2.8, 1.2, n_clusters))
        low, high = wilson_interval(correct.sum() / recordings.sum(), effective_n(correct, recordings))
        n_held += low <= truth <= high
    assert n_held >= 920  # without regard to their number 70 to 90 %, without regard to their sizes 85 to 90 %


def test_a_single_author_counts_as_one_unit():
    assert effective_n(np.array([30]), np.array([40])) == 1.0


def test_recordings_of_one_chunk_count_as_that_chunk():
    assert effective_n(np.array([1, 0, 1]), np.array([1, 1, 1])) == pytest.approx(3)


def test_evenly_spread_errors_count_every_chunk():
    assert effective_n(np.full(1000, 3), np.full(1000, 6)) == pytest.approx(6000, rel=0.01)


def test_if_all_chunks_are_correct_each_recording_counts_once():
    assert effective_n(np.array([4, 4, 4]), np.array([4, 4, 4])) == pytest.approx(3)
    assert effective_n(np.array([0, 0]), np.array([7, 7])) == pytest.approx(2)


def test_the_interval_by_chunk_agrees_with_a_bootstrap_over_recordings():
    rng = np.random.default_rng(20210401)
    chunks = rng.integers(1, 12, 400)
    correct = rng.binomial(chunks, rng.beta(1.2, 0.6, 400))
    share = correct.sum() / chunks.sum()
    drawn = rng.integers(0, 400, (4000, 400))
    bootstrap = np.quantile(correct[drawn].sum(axis=1) / chunks[drawn].sum(axis=1), [0.025, 0.975])
    ours = wilson_interval(share, effective_n(correct, chunks))
    assert ours == pytest.approx(tuple(bootstrap), abs=0.004)
    naive = wilson_interval(share, chunks.sum())
    assert naive[1] - naive[0] < 0.75 * (ours[1] - ours[0])

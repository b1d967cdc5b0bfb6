import json

import numpy as np
import pytest

from domain.errors import Impossible
from tasks.report.scoring.classification import (
    Evaluation,
    Misclassification,
    ScoreAccumulator,
    classification_table,
    mean_over_trainings,
    pooled_confusion,
)

LABELS = ("blackcap", "robin", "wren")
# five chunks of three recordings, made so that every score can be done by hand
PROBABILITIES = np.array(
    [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3], [0.5, 0.4, 0.1]], dtype=np.float32
)
TRUTH = np.array([0, 0, 1, 1, 2])
RECORDINGS = ["a.ogg", "a.ogg", "b.ogg", "b.ogg", "c.ogg"]


def accumulated(probabilities=PROBABILITIES, truth=TRUTH, recordings=RECORDINGS, batch=2) -> ScoreAccumulator:
    accumulator = ScoreAccumulator(LABELS)
    for start in range(0, len(truth), batch):
        part = slice(start, start + batch)
        accumulator.add(probabilities[part], truth[part], recordings[part])
    return accumulator


@pytest.fixture
def evaluation() -> Evaluation:
    return accumulated().evaluation({0: 10, 1: 30})


def test_accuracy_by_chunk_counts_chunks(evaluation):
    # a: blackcap right, robin wrong; b: both right; c: wrong
    assert evaluation.by_chunk.n == 5
    assert evaluation.by_chunk.accuracy == 3 / 5
    assert evaluation.by_chunk.confusion == ((1, 1, 0), (0, 2, 0), (1, 0, 0))


def test_a_recording_is_classified_by_its_mean_probability(evaluation):
    # a: means .35 .55 .10 -> robin (wrong), though one of its two chunks is right; b -> robin (right); c wrong
    assert evaluation.by_recording.n == 3
    assert evaluation.by_recording.confusion == ((0, 1, 0), (0, 1, 0), (1, 0, 0))
    assert evaluation.by_recording.accuracy == 1 / 3


def test_class_scores_and_macro_f1_match_a_hand_calculation(evaluation):
    blackcap, robin, wren = evaluation.by_chunk.classes
    assert (blackcap.precision, blackcap.recall, blackcap.support) == (1 / 2, 1 / 2, 2)
    assert (robin.precision, robin.recall, robin.support) == (2 / 3, 1, 2)
    assert (wren.precision, wren.recall, wren.f1, wren.support) == (0, 0, 0, 1)
    assert evaluation.by_chunk.macro_f1 == pytest.approx((0.5 + 0.8 + 0) / 3)


def test_baselines_use_the_training_subset(evaluation):
    # robin is the most frequent training class and 2 of 5 test chunks; drawing names at .25/.75: 2/5*.25 + 2/5*.75
    assert evaluation.by_chunk.majority_accuracy == 2 / 5
    assert evaluation.by_chunk.chance_accuracy == pytest.approx(0.4)
    assert evaluation.by_recording.majority_accuracy == 1 / 3


def test_the_most_confident_errors_come_first(evaluation):
    assert [mistake.recording for mistake in evaluation.worst] == ["a.ogg", "c.ogg"]
    first = evaluation.worst[0]
    assert first == Misclassification("a.ogg", "blackcap", "robin", pytest.approx(0.55))


def test_the_most_frequent_confusions_come_first():
    says_wren = np.tile(np.array([0.1, 0.2, 0.7], dtype=np.float32), (4, 1))
    accumulator = accumulated(says_wren, np.array([1, 1, 1, 0]), ["a", "b", "c", "d"])
    top = accumulator.evaluation({0: 1}).by_chunk.top_confusions
    assert [(row.truth, row.predicted, row.n) for row in top] == [("robin", "wren", 3), ("blackcap", "wren", 1)]


def test_batches_of_any_size_give_the_same_evaluation(evaluation):
    assert accumulated(batch=5).evaluation({0: 10, 1: 30}) == evaluation
    assert accumulated(batch=1).evaluation({0: 10, 1: 30}) == evaluation


def test_memory_grows_with_recordings_not_with_chunks():
    accumulator = ScoreAccumulator(LABELS)
    for _ in range(50):
        accumulator.add(PROBABILITIES, TRUTH, RECORDINGS)
    assert accumulator.evaluation({0: 1}).by_chunk.n == 250
    assert accumulator.evaluation({0: 1}).by_recording.n == 3
    held = [value for value in vars(accumulator).values() if isinstance(value, np.ndarray)]
    assert max(len(value) for value in held) == 64


def test_all_recordings_are_counted_when_the_arrays_grow():
    names = [f"{index}.ogg" for index in range(1000)]
    sure = np.eye(3, dtype=np.float32)[np.arange(1000) % 3]
    evaluation = accumulated(sure, np.arange(1000) % 3, names, batch=300).evaluation({0: 1})
    assert evaluation.by_recording.n == 1000
    assert evaluation.by_recording.accuracy == 1


def test_a_recording_with_two_labels_counts_once_for_each():
    accumulator = accumulated(PROBABILITIES[:2], np.array([0, 1]), ["dawn.wav", "dawn.wav"])
    evaluation = accumulator.evaluation({0: 1})
    assert (evaluation.by_recording.n, evaluation.by_recording.accuracy) == (2, 1)


def test_untested_labels_are_named_and_do_not_lower_the_macro_average():
    sure = np.eye(3, dtype=np.float32)[[0, 1]]
    evaluation = accumulated(sure, np.array([0, 1]), ["a", "b"]).evaluation({0: 1})
    assert evaluation.untested == ("wren",)
    assert evaluation.by_chunk.macro_f1 == 1
    assert "wren" not in classification_table(evaluation.by_chunk, LABELS)


def test_an_evaluation_survives_json(evaluation):
    assert Evaluation.from_dict(json.loads(json.dumps(evaluation.as_dict()))) == evaluation


def test_an_empty_test_subset_is_refused():
    with pytest.raises(Impossible, match="test subset of this split is empty"):
        ScoreAccumulator(LABELS).evaluation({0: 1})


def test_an_empty_training_subset_has_no_baseline():
    with pytest.raises(Impossible, match="training subset is empty"):
        accumulated().evaluation({})


def test_a_probability_that_is_not_finite_is_refused():
    with pytest.raises(Impossible, match="not a finite number"):
        ScoreAccumulator(LABELS).add(np.full((1, 3), np.nan, dtype=np.float32), np.array([0]), ["a"])


def test_a_truth_beyond_the_labels_is_refused():
    with pytest.raises(Impossible, match=r"not classes 0\.\.2"):
        ScoreAccumulator(LABELS).add(PROBABILITIES[:1], np.array([3]), ["a"])


def test_probabilities_of_another_shape_are_refused():
    with pytest.raises(Impossible, match="do not fit"):
        ScoreAccumulator(LABELS).add(PROBABILITIES[:, :2], TRUTH, RECORDINGS)


def test_folds_are_averaged_with_their_sample_deviation():
    right = accumulated(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1]), ["a", "b"]).evaluation({0: 1})
    half = accumulated(np.eye(3, dtype=np.float32)[[0, 0]], np.array([0, 1]), ["a", "b"]).evaluation({0: 1})
    folds = mean_over_trainings([right, half])
    assert folds.n_trainings == 2
    assert folds.accuracy.mean == 0.75
    assert folds.accuracy.deviation == pytest.approx(0.25 * 2**0.5)  # of 1 and 0.5, divided by n - 1
    assert folds.macro_f1.mean == pytest.approx((1 + (2 / 3 + 0) / 2) / 2)
    assert folds.recording_accuracy.mean == 0.75


def test_one_fold_has_a_mean_and_no_deviation(evaluation):
    assert mean_over_trainings([evaluation]).accuracy.deviation is None


def test_a_mean_needs_a_training():
    with pytest.raises(Impossible, match="no training was evaluated"):
        mean_over_trainings([])


def test_confusions_of_folds_add_up(evaluation):
    assert pooled_confusion([evaluation, evaluation]).tolist() == [[2, 2, 0], [0, 4, 0], [2, 0, 0]]


def test_folds_with_different_labels_are_refused(evaluation):
    other = Evaluation(("x", "y", "z"), evaluation.by_chunk, evaluation.by_recording, ())
    with pytest.raises(Impossible, match="have different labels"):
        pooled_confusion([evaluation, other])

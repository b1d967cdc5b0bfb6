import json

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, f1_score

from tasks.report.scoring.classification import Evaluation, ScoreAccumulator, classification_table

# how long a case takes says nothing here, and a busy machine would fail it
unhurried = settings(deadline=None, max_examples=settings().max_examples * 3 // 5)


@st.composite
def predictions(draw):
    n_classes = draw(st.integers(2, 8))
    n = draw(st.integers(1, 60))
    index = st.integers(0, n_classes - 1)
    truth = np.array(draw(st.lists(index, min_size=n, max_size=n)))
    predicted = np.array(draw(st.lists(index, min_size=n, max_size=n)))
    recordings = [f"{draw(st.integers(0, 9))}.ogg" for _ in range(n)]
    labels = draw(st.lists(st.text("abc é_", min_size=1, max_size=20), min_size=n_classes, max_size=n_classes))
    return labels, truth, predicted, recordings


def evaluation(data) -> Evaluation:
    labels, truth, predicted, recordings = data
    accumulator = ScoreAccumulator(labels)
    accumulator.add(np.eye(len(labels), dtype=np.float32)[predicted], truth, recordings)
    return accumulator.evaluation({0: 3, 1: 1})


@unhurried
@given(predictions())
def test_scores_equal_those_of_scikit_learn(data):
    labels, truth, predicted, _ = data
    scores = evaluation(data).by_chunk
    assert scores.accuracy == accuracy_score(truth, predicted)
    assert np.isclose(scores.macro_f1, f1_score(truth, predicted, average="macro", zero_division=0), rtol=1e-12)
    expected = confusion_matrix(truth, predicted, labels=range(len(labels)))
    assert np.array_equal(scores.confusion, expected)
    always = DummyClassifier(strategy="most_frequent").fit(np.zeros((4, 1)), [0, 0, 0, 1])
    assert scores.majority_accuracy == always.score(np.zeros((len(truth), 1)), truth)


@unhurried
@given(predictions())
def test_the_table_equals_that_of_scikit_learn(data):
    labels, truth, predicted, _ = data
    assume((truth == predicted).any())  # scikit-learn prints supports as 1.0 where nothing at all is right
    met = sorted({*truth.tolist(), *predicted.tolist()})
    expected = classification_report(
        truth, predicted, labels=met, target_names=[labels[index] for index in met], zero_division=0
    )
    assert classification_table(evaluation(data).by_chunk, labels) == expected


@unhurried
@given(predictions())
def test_an_interval_contains_its_accuracy(data):
    evaluated = evaluation(data)
    for scores in (evaluated.by_chunk, evaluated.by_recording):
        low, high = scores.accuracy_interval
        assert 0 <= low <= scores.accuracy + 1e-12
        assert scores.accuracy - 1e-12 <= high <= 1


@unhurried
@given(predictions())
def test_chunks_and_recordings_are_all_counted_once(data):
    _, truth, _, recordings = data
    evaluated = evaluation(data)
    assert sum(row.support for row in evaluated.by_chunk.classes) == len(truth)
    assert evaluated.by_recording.n == len(set(zip(recordings, truth.tolist(), strict=True)))


@unhurried
@given(predictions())
def test_evaluations_survive_json(data):
    evaluated = evaluation(data)
    assert Evaluation.from_dict(json.loads(json.dumps(evaluated.as_dict()))) == evaluated

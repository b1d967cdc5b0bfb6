"""The inputs and settings that reach the network in training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from domain.results import EvaluateResult, FileRole, OutputFile, PackResult, TrainResult
from domain.states import Kind
from domain.stored_file import StoredFile
from domain.subsets import HOLDOUT, Subset
from domain.work import FinishedJob
from tasks import evaluate, train
from tasks.model.inputs import Scaling
from tasks.model.networks.blocks import class_probabilities, input_of
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training.classifier import _feeds, _Fit
from tasks.model.training.classifier import train as trained
from tasks.model.training.feed import Feed, balanced_weights
from tasks.model.training.stream import read_shard_set
from tasks.model.training.training_sets import read_training_sets
from tasks.model.variants import WITH_SYNTHETIC
from tasks.model.zoo import MODELS, ModelEntry
from tests.model_shards import examples, written

SETTINGS = TrainingSettings(epochs=1, batch=8, seed=1)


def features_only(shapes: Any, n_classes: int) -> keras.Model:
    features = input_of("features", shapes)
    return keras.Model(features, class_probabilities(features, n_classes))


@pytest.fixture(autouse=True)
def _quick_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "quick", ModelEntry("quick", "for tests", ("features",), features_only))


def spec_of(folder: Path, settings: TrainingSettings = SETTINGS, n_more: int = 0) -> TrainingSpec:
    """Training examples, with `n_more` extra of the second class; validation examples with distant features."""
    train_set, valid_set = (
        examples(24),
        [replace(each, features=each.features + 100) for each in examples(8, first=100)],
    )
    train_set += [each for each in examples(2 * n_more, first=200) if each.label == 1]
    return TrainingSpec(
        "quick",
        ("a", "b"),
        written(folder, train_set, "train"),
        written(folder, valid_set, "valid"),
        settings,
    )


def test_features_are_standardised_by_the_training_subset_alone(tmp_path: Path) -> None:
    outcome = trained(spec_of(tmp_path), lambda *_: None, time.perf_counter)
    trained_on = np.stack([each.features for each in examples(24)])
    np.testing.assert_allclose(outcome.scaling.feature_means, trained_on.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_training_spectrograms_are_augmented_and_validation_ones_are_not(tmp_path: Path) -> None:
    made = examples(16)
    feed = Feed(read_shard_set(written(tmp_path, made)), ("spectrogram",), Scaling(), np.ones(2, np.float32))
    spectrograms = np.stack([each.spectrogram for each in made])[..., np.newaxis] / np.float32(255)
    settings = TrainingSettings(batch=16, shift=0.5, time_mask=0.3)
    valid, trained_on = (np.concatenate([np.array(batch[0]) for batch in passed]) for passed in (
        feed.one_pass(16), feed.epoch(settings, 0, 16),
    ))  # fmt: skip
    np.testing.assert_allclose(valid, spectrograms, atol=1e-6)
    unchanged = [any(np.allclose(one, other, atol=1e-6) for other in spectrograms) for one in trained_on]
    assert np.mean(unchanged) < 0.5


@pytest.mark.parametrize("is_on", [True, False])
def test_rare_classes_have_larger_weights_unless_disabled(tmp_path: Path, is_on: bool) -> None:
    spec = spec_of(tmp_path, replace(SETTINGS, class_weights=is_on), n_more=12)
    sets = read_training_sets(spec)
    feed = _feeds(spec, sets, Scaling(feature_means=(0.0,) * 15, feature_deviations=(1.0,) * 15), lambda: None).train
    expected = balanced_weights({0: 12, 1: 24}, 2) if is_on else np.ones(2)
    for _, targets, weights in feed.epoch(spec.settings, 0, 8):
        np.testing.assert_allclose(weights, expected[np.array(targets).argmax(axis=1)], rtol=1e-6)


def test_label_smoothing_and_weight_decay_reach_the_network(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, replace(SETTINGS, label_smoothing=0.25, weight_decay=0.125, learning_rate=0.5))
    model = features_only(read_shard_set(spec.train_shards).shapes, 2)
    sets = read_training_sets(spec)
    feeds = _feeds(spec, sets, Scaling(feature_means=(0.0,) * 15, feature_deviations=(1.0,) * 15), lambda: None)
    _Fit(model, spec.settings, feeds, time.perf_counter)
    assert model.loss.get_config()["label_smoothing"] == 0.25
    assert model.optimizer.weight_decay == 0.125


@pytest.mark.parametrize(("model", "trains_on_all"), [("cnn", False), ("deep_cnn", True), ("cnn_lstm", True)])
def test_the_validation_subset_is_trained_on_only_without_early_stopping(
    monkeypatch: pytest.MonkeyPatch, model: str, trains_on_all: bool
) -> None:
    monkeypatch.setattr(train, "local", lambda _, left: StoredFile(left.key, Path(left.key), left.sha256))
    packs: Any = [_packed(HOLDOUT, subset, subset.name) for subset in (Subset.TRAIN, Subset.VALID)]
    work: Any = SimpleNamespace(claim=SimpleNamespace(model=model, seed=3, variant=None))
    run: Any = SimpleNamespace(options={}, labels=("a", "b"))
    spec = train._spec(work, run, packs, (_file("SYNTHETIC"),) if model == "cnn" else ())
    trained_on = _names([*spec.train_shards]) - {"SYNTHETIC"}
    assert trained_on == ({"TRAIN", "VALID"} if trains_on_all else {"TRAIN"})
    assert _names([*spec.valid_shards]) == (set() if trains_on_all else {"VALID"})


def _file(key: str, role: FileRole = FileRole.SHARD) -> OutputFile:
    return OutputFile(key, role, 1, f"digest of {key}")


def _packed(fold: int, subset: Subset, key: str) -> FinishedJob[PackResult]:
    return FinishedJob(1, Kind.PACK, None, None, fold, subset, None, None, PackResult("k", (key,)), (_file(key),))


def _names(files: Sequence[StoredFile | OutputFile]) -> set[str]:
    """Return the keys; check that each file has its own digest."""
    assert all(file.sha256 == f"digest of {file.key}" for file in files)
    return {file.key for file in files}


@pytest.mark.parametrize("fold", [HOLDOUT, 2])
def test_a_generator_is_evaluated_against_unseen_examples(monkeypatch: pytest.MonkeyPatch, fold: int) -> None:
    def pack(of_fold: int, subset: Subset) -> FinishedJob[PackResult]:
        return _packed(of_fold, subset, f"{of_fold} {subset.name}")

    def job(
        result: TrainResult | EvaluateResult, model: str, variant: str | None = None, files: tuple[OutputFile, ...] = ()
    ) -> FinishedJob[TrainResult | EvaluateResult]:
        return FinishedJob(1, "", model, None, fold, None, None, variant, result, files)

    split = [pack(fold, subset) for subset in (Subset.TRAIN, Subset.VALID, Subset.TEST)]
    folds = [pack(number, subset) for number in (1, 2, 3) for subset in (Subset.TRAIN, Subset.VALID)]
    synthetic = TrainResult("the generator", synthetic_shards=("synthetic 2", "synthetic 1"))
    needed = [
        *(split if fold == HOLDOUT else folds),
        job(TrainResult("the evaluator"), "cnn", None, (_file("the evaluator", FileRole.MODEL),)),
        job(synthetic, "gan", None, tuple(_file(f"synthetic {n}", FileRole.SYNTHETIC) for n in (1, 2))),
        job(EvaluateResult("e", figures={"by_recording_accuracy": 0.75}), "cnn"),
        job(EvaluateResult("e", figures={"by_recording_accuracy": 0.5}), "cnn", WITH_SYNTHETIC),
    ]
    monkeypatch.setattr(evaluate, "needed_results", lambda *_: needed)
    work: Any = SimpleNamespace(database=None, claim=SimpleNamespace(id=1, model="gan", fold=fold))
    found = evaluate._needed_by_generator(work)
    assert _names([found.evaluator]) == {"the evaluator"}
    assert [file.key for file in found.synthetic] == ["synthetic 2", "synthetic 1"], "the order of the training"
    is_split = fold == HOLDOUT
    assert _names(found.held_out) == ({f"{fold} TEST"} if is_split else {"2 TRAIN", "2 VALID"})
    assert _names(found.train) == ({f"{fold} TRAIN"} if is_split else {"1 TRAIN", "3 TRAIN"})
    assert found.accuracies == {"accuracy_without": 0.75, "accuracy_with": 0.5}

"""The training schedule."""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Impossible
from tasks.model.spec import TrainingSettings
from tasks.model.training import schedule

PLATEAU = TrainingSettings(learning_rate=0.8, plateau_patience=2, early_stop_patience=3, epochs=30)
COSINE = replace(PLATEAU, schedule="cosine")

losses = st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0]), max_size=29)


def history_of(values):
    return [{"epoch": at, "val_loss": value} for at, value in enumerate(values, 1)]


class Recorder(keras.callbacks.Callback):
    """The attributes of a model that Keras callbacks use."""

    def __init__(self):
        super().__init__()
        self.stop_training = False
        self.optimizer = keras.optimizers.SGD(0.8)

    def get_weights(self):
        return []

    def set_weights(self, weights):
        """Do nothing."""


@settings(deadline=None)
@given(losses)
def test_rate_and_stopping_match_the_keras_callbacks(values):
    model = Recorder()
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2, min_delta=0),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=3),
    ]
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    history = []
    for row in history_of(values):
        history.append(row)
        for callback in callbacks:
            callback.on_epoch_end(int(row["epoch"]) - 1, {"val_loss": row["val_loss"]})
        assert schedule.learning_rate(PLATEAU, history) == pytest.approx(float(model.optimizer.learning_rate))
        assert schedule.is_finished(PLATEAU, history) == model.stop_training
        if model.stop_training:
            break


@given(st.integers(1, 300))
def test_a_cosine_schedule_warms_up_and_then_only_falls(epochs):
    settings = replace(COSINE, epochs=epochs)
    rates = [schedule.learning_rate(settings, [{}] * epoch) for epoch in range(epochs)]
    top = int(np.argmax(rates))
    assert all(0 < rate <= 0.8 * (1 + 1e-9) for rate in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_a_cosine_schedule_ignores_a_rising_validation_loss():
    assert not schedule.is_finished(COSINE, history_of(range(1, 30)))
    assert schedule.is_finished(COSINE, history_of(range(1, 31)))


def test_without_validation_all_epochs_run_and_the_last_is_best():
    history = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 2.0}]
    assert schedule.best_epoch(history) == 2
    assert schedule.learning_rate(PLATEAU, history) == 0.8
    assert not schedule.is_finished(PLATEAU, history)


@pytest.mark.parametrize("name", ["loss", "val_loss"])
def test_a_loss_that_is_not_finite_ends_the_training_with_a_message(name):
    with pytest.raises(Impossible, match=f"{name} is nan in epoch 3, at learning rate 0.1"):
        schedule.require_finite({"epoch": 3, "learning_rate": 0.1, name: math.nan})

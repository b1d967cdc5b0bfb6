"""Batches as TensorFlow takes them."""

from __future__ import annotations

import numpy as np

from tasks.model.feed import Feed
from tasks.model.inputs import Scaling
from tasks.model.spec import TrainingSettings
from tasks.model.stream import surveyed
from tests.model_shards import examples, written


def test_a_listener_hears_of_every_batch_that_is_asked_for(tmp_path):
    shards = surveyed(written(tmp_path, examples(40), size=6))
    heard: list[int] = []
    feed = Feed(shards, ("spectrogram",), Scaling(), np.ones(2, np.float32), lambda: heard.append(1))
    for passed in (feed.epoch(TrainingSettings(batch=4), 0, 4), feed.one_pass(8)):
        heard.clear()
        n_batches = sum(1 for _ in passed)
        assert len(heard) == n_batches > 1


def test_no_pass_waits_for_a_tuning_thread_to_wake(tmp_path):
    shards = surveyed(written(tmp_path, examples(40), size=6))
    feed = Feed(shards, ("spectrogram",), Scaling(), np.ones(2, np.float32))
    for passed in (feed.epoch(TrainingSettings(batch=4), 0, 4), feed.one_pass(4)):
        assert passed.options().autotune.enabled is False

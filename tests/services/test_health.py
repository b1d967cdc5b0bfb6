"""Health means progress: a process that answers but does nothing is unhealthy."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from domain.errors import UsageError
from orchestrator.broker import QueueMessage, Sender
from orchestrator.monitoring.health import STUCK_AFTER_S, NoProgress, require_progress
from settings import Settings
from tasks.runtime import liveness


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, broker_url=redis_url, progress_file=tmp_path / "progress")


def progressed(settings: Settings, ago_s: float) -> None:
    assert settings.progress_file is not None
    settings.progress_file.touch()
    at_s = time.time() - ago_s
    os.utime(settings.progress_file, (at_s, at_s))


def put_a_message(settings: Settings) -> None:
    with Sender(settings) as sender:
        assert sender.send("preprocess", "cpu", [QueueMessage({"version": 1, "run": 1, "items": [1]}, "")]) == 1


def test_a_process_that_has_not_begun_is_unhealthy(settings: Settings) -> None:
    with pytest.raises(NoProgress, match="has not started"):
        require_progress(settings, "cpu")


def test_a_worker_with_recent_progress_is_healthy_whatever_waits(settings: Settings) -> None:
    put_a_message(settings)
    progressed(settings, ago_s=1)
    assert require_progress(settings, "cpu") == "last progress 1 s ago"


def test_an_idle_worker_is_healthy(settings: Settings) -> None:
    progressed(settings, ago_s=10 * STUCK_AFTER_S)
    assert "nothing waits" in require_progress(settings, "cpu")


def test_a_worker_that_lets_messages_wait_and_does_nothing_is_unhealthy(settings: Settings) -> None:
    put_a_message(settings)
    progressed(settings, ago_s=2 * STUCK_AFTER_S)
    with pytest.raises(NoProgress, match="1 messages wait in queue cpu"):
        require_progress(settings, "cpu")
    assert "nothing waits" in require_progress(settings, "gpu"), "its own queue is what counts"


def test_an_unreachable_broker_does_not_make_a_worker_unhealthy(tmp_path: Path) -> None:
    settings = Settings(broker_url=f"redis+socket://{tmp_path}/none", progress_file=tmp_path / "progress")
    progressed(settings, ago_s=2 * STUCK_AFTER_S)
    assert "does not answer" in require_progress(settings, "cpu")


def test_an_unreachable_database_does_not_make_a_worker_unhealthy(redis_url: str, tmp_path: Path) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:9/none"
    settings = Settings(broker_url=redis_url, database_url=away, progress_file=tmp_path / "progress")
    put_a_message(settings)
    progressed(settings, ago_s=2 * STUCK_AFTER_S)
    assert "127.0.0.1" in require_progress(settings, "cpu")


def test_work_that_makes_no_step_is_stuck_though_its_process_lives_and_nothing_waits(settings: Settings) -> None:
    progressed(settings, ago_s=1)
    assert settings.progress_file is not None
    liveness.report_stall(settings.progress_file, "no step of train for more than 900 s")
    with pytest.raises(NoProgress, match="no step of train"):
        require_progress(settings, "gpu")
    an_hour_ago_s = time.time() - 3600
    os.utime(settings.progress_file.with_name("progress-stalled"), (an_hour_ago_s, an_hour_ago_s))
    assert require_progress(settings, "gpu") == "last progress 1 s ago", "it is said again for as long as that lasts"


def test_an_idle_dispatcher_still_shows_progress(settings: Settings) -> None:
    progressed(settings, ago_s=2 * STUCK_AFTER_S)
    with pytest.raises(NoProgress, match="has made no progress"):
        require_progress(settings, "dispatcher")


def test_without_a_progress_file_there_is_nothing_to_check() -> None:
    with pytest.raises(UsageError, match="CHORUS_PROGRESS_FILE"):
        require_progress(Settings(), "cpu")

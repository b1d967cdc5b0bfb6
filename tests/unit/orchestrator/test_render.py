from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from db.queries.job_inputs import PlannedRun
from db.queries.status import JobStatus
from domain.results import EvaluateResult
from domain.states import RunState, State
from orchestrator.cli.terminal import ProgressView, Rate, result_lines
from orchestrator.monitoring.summary import scores
from orchestrator.progress import Snapshot
from settings import Settings

HONEST: dict[str, Any] = {
    "honesty": {"is_honest": True, "crossing": [], "crossing_groups": 0, "scores_without": {}, "joined_copies": 0},
    "left_out": [],
    "dataset": {"notes": []},
}
NO_FAULTS = {"retries": 0, "lost_claims": 0, "expiries": 0, "crashes": 0, "quarantined": 0, "failed": 0}
FACTS = PlannedRun(7, "train", "active", "/data", "csv", 1, "p", {}, ("a", "b"), {}, {}, {}, 0.0, None)


def seen(state: str = RunState.ACTIVE, **items: int) -> Snapshot:
    counts = {str(one): items.get(one.value, 0) for one in State}
    return Snapshot(PlannedRun(**{**FACTS.__dict__, "state": state}), counts, ())


def judged(model: str, fold: int, accuracy: float) -> JobStatus:
    figures = {"accuracy": accuracy, "macro_f1": accuracy / 2, "by_recording_accuracy": 0.6}
    return JobStatus(
        id=fold, kind="evaluate", model=model, seed=0, fold=fold, subset=None, pipeline_id=None, variant=None,
        state=State.DONE, device="CPU", reason=None, reason_code=None, worker="w", attempts=1, started_at=0.0,
        finished_at=1.0, result=EvaluateResult("e", figures=figures), epoch=0,
    )  # fmt: skip


def test_a_rate_is_taken_over_the_last_seconds() -> None:
    rate = Rate()
    for at_s in range(61):
        rate.add(float(at_s), at_s * (1 if at_s < 30 else 5))
    assert rate.per_second == 5.0


def test_a_rate_of_one_moment_is_nothing() -> None:
    rate = Rate()
    rate.add(1.0, 5)
    assert rate.per_second == 0.0


def test_away_from_a_terminal_progress_is_a_line_when_something_changed_and_time_has_passed() -> None:
    text, now_s = io.StringIO(), [0.0]
    with ProgressView(Console(file=text, width=200), clock=lambda: now_s[0]) as view:
        for now, done in ((0.0, 0), (1.0, 1), (6.0, 2), (12.0, 2)):
            now_s[0] = now
            view.show(seen(waiting=4 - done, done=done))
        view.show(seen(RunState.DONE, done=4))
    assert text.getvalue().splitlines() == [
        "run 7 active: preprocess 0/4",
        "run 7 active: preprocess 2/4",
        "run 7 done: preprocess 4/4",
    ]


def test_on_a_terminal_bars_show_rate_time_left_and_quarantine() -> None:
    text, now_s = io.StringIO(), [0.0]
    with ProgressView(Console(file=text, width=120, force_terminal=True), clock=lambda: now_s[0]) as view:
        view.show(seen(waiting=100))
        now_s[0] = 10.0
        view.show(seen(waiting=50, done=48, quarantined=2))
    assert "50/100" in text.getvalue()
    assert "5.0/s, 10 s left" in text.getvalue()
    assert "2 quarantined" in text.getvalue()


def test_scores_are_means_over_folds_with_the_sample_deviation() -> None:
    found = scores((judged("cnn", 1, 0.6), judged("cnn", 2, 0.8), judged("mlp", 1, 0.4)))
    assert abs((found["cnn"]["accuracy"] or 0) - 0.7) < 1e-12
    assert abs((found["cnn"]["accuracy_sd"] or 0) - 0.1 * 2**0.5) < 1e-12
    assert found["mlp"]["accuracy_sd"] is None
    assert abs((found["cnn"]["macro_f1_sd"] or 0) - 0.05 * 2**0.5) < 1e-12
    assert found["cnn"]["by_recording_accuracy_sd"] == 0.0
    assert found["cnn"]["trainings"] == found["cnn"]["trainings_planned"] == 2


def test_a_mean_over_some_of_the_trainings_says_of_how_many() -> None:
    lost = JobStatus(**{**judged("cnn", 2, 0.9).__dict__, "state": State.FAILED})
    found = scores((judged("cnn", 1, 0.5), lost, lost))
    assert (found["cnn"]["accuracy"], found["cnn"]["trainings"], found["cnn"]["trainings_planned"]) == (0.5, 1, 3)
    assert scores((lost,)) == {}


def test_a_score_is_said_with_its_interval_where_one_is_known() -> None:
    score = {
        "accuracy": 0.625, "accuracy_sd": 0.125, "by_recording_accuracy": 0.75, "macro_f1": 0.5,
        "by_recording_accuracy_interval": (0.5, 0.875), "groups": 2,
    }  # fmt: skip
    found = {
        "run": 1, "state": "done", "recordings": {"total": 5, "done": 5}, "jobs": [], "leak_meter": {}, "ablation": [],
        "scores": {
            "cnn": {**score, "trainings": 3, "trainings_planned": 3},
            "mlp": {**score, "by_recording_accuracy_interval": None, "trainings": 1, "trainings_planned": 3},
        }, "quarantined": [], "used_in_part": [], **HONEST,
        "failed": [], "report": None, "faults": NO_FAULTS, "notes": [],
    }  # fmt: skip
    assert result_lines(found, Settings().command)[1:] == [
        "cnn: accuracy 62.5 % ± 12.5 by chunk, 75.0 % (95 %: 50.0 to 87.5, from 2 groups) by recording, macro F1 0.500",
        "mlp: accuracy 62.5 % ± 12.5 by chunk, 75.0 % by recording, macro F1 0.500; over 1 of 3 trainings",
        "no interval for mlp: its evaluation cannot be read; see: orchestrator doctor",
    ]


def test_a_result_names_what_was_not_used_and_how_many_more_there_are() -> None:
    quarantined = [{"recording": f"{n}.ogg", "reason": "silent: x"} for n in range(25)]
    found = {
        "run": 1, "state": "done", "recordings": {"total": 30, "done": 5, "quarantined": 25}, "scores": {}, "jobs": [],
        "leak_meter": {}, "faults": NO_FAULTS, "notes": [], "ablation": [],
        "quarantined": quarantined, "used_in_part": [], **HONEST, "failed": [], "report": "/r.html",
    }  # fmt: skip
    lines = result_lines(found, Settings().command)
    assert lines[0] == "run 1: done; 30 recordings: 5 done, 25 quarantined"
    assert "  0.ogg: silent: x" in lines
    assert any("5 more" in line for line in lines)
    assert lines[-1] == "report: /r.html"


def test_the_last_line_warns_of_scores_that_are_not_honest_and_better_scores_stand_beside() -> None:
    left = {"accuracy": 0.5, "by_recording_accuracy": 0.25, "groups": 3}
    crossing = [{"recording": f"{n}.ogg", "label": "wren", "group": "ana", "part": "test"} for n in range(2)]
    score = {"accuracy": 0.75, "accuracy_sd": None, "by_recording_accuracy": 1.0, "macro_f1": 0.5}
    found: dict[str, Any] = {
        "run": 1, "state": "done", "recordings": {"total": 5, "done": 5}, "scores": {"cnn": score}, "jobs": [],
        "leak_meter": {}, "faults": NO_FAULTS, "ablation": [], "quarantined": [], "used_in_part": [], "failed": [],
        "report": "/r.html", "notes": [],
        "honesty": {
            "is_honest": False, "crossing": crossing, "crossing_groups": 1,
            "scores_without": {"cnn": left, "mlp": None}, "joined_copies": 3, "crossing_csv": None,
        }, "left_out": [], "dataset": {},
    }  # fmt: skip
    lines = result_lines(found, Settings().command)
    assert lines[2:4] == [
        "cnn without the recordings that cross: accuracy 50.0 % by chunk, 25.0 % by recording, from 3 groups",
        "mlp without the recordings that cross: no recording remains",
    ]
    assert lines[-1] == (
        "these scores are not honest: 2 tested recordings are of 1 group on both sides of the split; "
        "`orchestrator status 1 --json` names them"
    )
    assert "3 recordings are exact copies of others; copies are in one group" in lines
    with_table = {**found, "honesty": {**found["honesty"], "crossing_csv": "/run-1-crossing.csv"}}
    assert result_lines(with_table, Settings().command)[-1].endswith("; /run-1-crossing.csv lists them")


def test_files_that_the_plan_left_out_are_counted_long_after_it_and_notes_of_trainings_are_shown_once() -> None:
    trained = {"kind": "train", "model": "cnn", "variant": None, "state": "done", "notes": ["no validation examples"]}
    found = {
        "run": 1, "state": "done", "recordings": {"total": 5, "done": 5}, "scores": {}, "jobs": [trained, trained],
        "leak_meter": {}, "ablation": [], "faults": NO_FAULTS, "quarantined": [], "used_in_part": [], **HONEST,
        "failed": [], "report": None, "notes": [],
        "dataset": {
            "notes": [], "unnamed_recordings": 3, "files_left_out": {".txt": 1, ".m4b": 1},
            "folders_without_recordings": ["notes"], "names_read_as_one": {"Owl": ["Owl, Barn", "Owl, Tawny"]},
        },
    }  # fmt: skip
    assert result_lines(found, Settings().command)[1:] == [
        "cnn: no validation examples",
        "in the dataset: 3 recordings that no row names, 2 files that are no recordings, 1 folder without recordings, "
        "1 class with several names; `orchestrator status 1 --json` has the details",
    ]


def test_recordings_that_were_left_out_at_request_are_counted() -> None:
    found = {
        "run": 1, "state": "done", "recordings": {"total": 5, "done": 5}, "scores": {}, "jobs": [], "leak_meter": {},
        "ablation": [], "faults": NO_FAULTS, "quarantined": [], "used_in_part": [], **HONEST, "failed": [],
        "report": None, "notes": [], "left_out": [{"recording": "a.ogg", "reason": "left out"}],
    }  # fmt: skip
    assert result_lines(found, Settings().command)[1:] == [
        "1 recording left out by --drop-leaks; `orchestrator status 1 --json` names them"
    ]


def test_trainings_have_a_pace_too_taken_since_the_first_began() -> None:
    text, now_s = io.StringIO(), [0.0]
    ended = judged("cnn", 1, 0.5)
    waiting = JobStatus(**{**judged("cnn", 2, 0.5).__dict__, "state": State.RUNNING})
    with ProgressView(Console(file=text, width=120, force_terminal=True), clock=lambda: now_s[0]) as view:
        view.show(Snapshot(FACTS, seen(done=4).items, (waiting, JobStatus(**{**waiting.__dict__, "id": 3}))))
        now_s[0] = 120.0
        view.show(Snapshot(FACTS, seen(done=4).items, (ended, waiting)))
    assert "0.5/min, 2 min 00 s left" in text.getvalue()


def test_what_a_part_was_worth_is_said_in_points_with_its_interval() -> None:
    effect = {
        "model": "cnn", "factor": "denoising", "with": 0.5, "without": 0.75, "difference": -0.25, "low": -0.41,
        "high": -0.09, "p": 0.004, "is_significant": True,
    }  # fmt: skip
    found = {
        "run": 1, "state": "done", "recordings": {"total": 5, "done": 5}, "scores": {}, "jobs": [], "leak_meter": {},
        "ablation": [
            {**effect, "trainings": 5, "trainings_planned": 5},
            {**effect, "is_significant": False, "trainings": 2, "trainings_planned": 5},
        ], "quarantined": [], "used_in_part": [], **HONEST,
        "failed": [], "report": None, "faults": NO_FAULTS, "notes": [],
    }  # fmt: skip
    line = (
        "cnn, denoising: 50.0 % with and 75.0 % without by recording, "
        "difference -25.0 points (-41.0 to -9.0, p = 0.004)"
    )
    assert result_lines(found, Settings().command)[1:] == [line, f"{line}; may be chance; over 2 of 5 trainings"]


def test_the_leak_meter_is_no_score_and_says_so() -> None:
    judged = {"accuracy": 0.5, "by_recording_accuracy": 0.5, "macro_f1": 0.5, "accuracy_sd": None}
    found = {
        "run": 1, "state": "done", "recordings": {"total": 5, "done": 5}, "scores": {"cnn": judged}, "jobs": [],
        "leak_meter": {"cnn": {**judged, "accuracy": 0.75}}, "quarantined": [], "used_in_part": [], **HONEST,
        "failed": [], "report": None, "faults": NO_FAULTS, "notes": [], "ablation": [],
    }  # fmt: skip
    lines = result_lines(found, Settings().command)
    assert lines[-1] == "leak meter, cnn: shuffled chunks give 75.0 % by chunk; on the honest split 50.0 %"
    assert lines[1].startswith("cnn: accuracy 50.0 %")


def test_what_was_survived_is_said_and_nothing_where_nothing_was() -> None:
    found = {
        "run": 1, "state": "done", "recordings": {"total": 5, "done": 5}, "scores": {}, "jobs": [], "leak_meter": {},
        "ablation": [], "faults": {**NO_FAULTS, "retries": 3, "crashes": 1}, "notes": [],
        "quarantined": [], "used_in_part": [], **HONEST, "failed": [], "report": None,
    }  # fmt: skip
    assert result_lines(found, Settings().command)[1:] == ["faults: 3 attempts retried, 1 process crashed"]
    assert result_lines({**found, "faults": NO_FAULTS}, Settings().command)[1:] == []


def test_a_result_says_what_was_unusual_about_the_sound() -> None:
    found = {
        "run": 1, "state": "done", "recordings": {"total": 2, "done": 2}, "scores": {}, "jobs": [], "leak_meter": {},
        "ablation": [], "faults": NO_FAULTS, "quarantined": [], "used_in_part": [], **HONEST, "failed": [],
        "report": None,
    }  # fmt: skip
    notes = [
        {"code": "silent_chunks", "unit": "chunk", "count": 3, "recordings": 2},
        {"code": "above_band", "unit": "span", "count": 1, "recordings": 1},
    ]
    assert result_lines({**found, "notes": notes}, Settings().command)[1:] == [
        "3 chunks in 2 recordings: silence, or silence with one click; they have no spectrogram",
        "1 span in 1 recording: most of the energy lies above the preset's highest band; spectrograms do not show it",
    ]


def test_the_view_says_once_why_work_is_tried_again() -> None:
    text, now_s = io.StringIO(), [0.0]
    with ProgressView(Console(file=text, width=200), clock=lambda: now_s[0]) as view:
        for _ in range(3):
            view.show(replace(seen(done=0), retried_item_reason="OSError: the store \u202eis a file"))
            now_s[0] += 10
    assert text.getvalue().count("trying again: preprocess: OSError: the store \\u202eis a file") == 1

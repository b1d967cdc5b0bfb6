"""Recordings that change or go away between plan and work are noticed, named, and never mixed in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from db.queries.unused import unused
from domain.states import State
from tests.chaos.calm import Calm, assert_each_attempt_has_an_end, assert_rows_are_true, dataset, packed
from tests.chaos.machines import machines, submitted
from tests.e2e.way import files
from tests.recordings import write_tone


def test_what_changed_or_went_since_the_plan_is_named_and_all_else_is_as_it_was(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    data = dataset(tmp_path)
    with machines(tmp_path, redis_url) as cluster:
        run = submitted(cluster, data)
        (data / "high" / "high-0.wav").unlink()
        write_tone(data / "low" / "low-1.wav", 444.0, 4.0)  # as many bytes, others
        write_tone(data / "low" / "low-2.wav", 444.0, 0.5)
        same = data / "middle" / "middle-3.wav"
        same.write_bytes(same.read_bytes())  # written again, the same bytes
        cluster.start_worker("a")
        cluster.start_dispatcher()
        seen = cluster.until_over(run)
        found = {entry.recording: entry.reason_code for entry in unused(cluster.session.database, run).quarantined}
        assert found == {"high/high-0.wav": "missing", "low/low-1.wav": "changed", "low/low-2.wav": "changed"}
        strips = files(cluster.session, "strips")
        assert strips == undisturbed.strips_without(*found)
        assert len(strips) == seen.items[State.DONE] == 57
        assert packed(cluster.session) == undisturbed.each_once - Counter(found.keys())
        assert_rows_are_true(cluster.session.database, run, strips)
        assert_each_attempt_has_an_end(cluster.session.database, run)

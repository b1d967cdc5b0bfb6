"""Files lost or changed after they were made: the doctor finds each, and a retry makes the same bytes again.

Slow: a run, and a second one that makes again what was damaged.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from domain.states import RunState
from orchestrator.execution.run import retry_run
from orchestrator.monitoring.doctor import findings
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import Machines, begun, machines


def flip_one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damaged(cluster: Machines) -> None:
    """A strip is missing; a strip, a shard and an index are changed; a file two days old is in no row."""
    store = Path(cluster.session.settings.store)
    strips = sorted((store / "strips").rglob("*.png"))
    strips[0].unlink()
    flip_one_byte(strips[1])
    flip_one_byte(next((store / "shards").rglob("*.parquet")))
    flip_one_byte(next((store / "shards").rglob("index.json")))
    stray = strips[2].with_name("stray-0-0.png")
    stray.write_bytes(b"left by a worker that died")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(stray, (two_days_ago, two_days_ago))


def test_what_was_lost_or_changed_is_found_and_made_again(tmp_path: Path, redis_url: str, undisturbed: Calm) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data)
        assert cluster.until_over(run).run.state == RunState.DONE
        assert findings(cluster.session, repair=False) == []
        damaged(cluster)
        found = "\n".join(findings(cluster.session, repair=False))
        assert found.count("is missing from the store") == 1
        assert found.count("is corrupt: it differs from what was written") == 3
        assert "1 orphaned file is not referenced by the ledger (0.0 MB)" in found
        repaired = "\n".join(findings(cluster.session, repair=True))
        assert f"regenerate them with: orchestrator retry {run}" in repaired
        assert f"orchestrator retry {run}" in "\n".join(findings(cluster.session, repair=False)), "until it is done"
        retry_run(cluster.session, run)
        assert_same(cluster.session, cluster.until_over(run), undisturbed, n_forgotten=1)
        assert findings(cluster.session, repair=False) == []


def test_a_damaged_strip_fails_its_packing_at_once_and_is_named(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        broken: list[str] = []

        def flip(_: object) -> None:
            strips = sorted((Path(cluster.session.settings.store) / "strips").rglob("*.png"))
            if strips and not broken:
                flip_one_byte(strips[0])
                broken.append(strips[0].name)

        run = begun(cluster, undisturbed.data, CHAOS="slow=0.1")
        seen = cluster.until_over(run, flip)
        assert seen.run.state == RunState.FAILED
        [failed] = [job for job in seen.jobs if job.state == "failed"]
        assert failed.attempts == 1
        assert failed.reason_code == "damaged_file"
        assert broken[0] in str(failed.reason)
        assert "doctor --repair" in str(failed.reason)
        findings(cluster.session, repair=True)
        retry_run(cluster.session, run)
        assert_same(cluster.session, cluster.until_over(run), undisturbed, n_forgotten=1)

"""Strips that vanish between preprocessing and packing are made again by the run itself."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import begun, machines


def test_strips_that_vanish_before_packing_are_made_again_with_the_same_bytes(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        gone: list[str] = []

        def remove(_: object) -> None:
            strips = sorted((Path(cluster.session.settings.store) / "strips").rglob("*.png"))
            if len(strips) >= 5 and not gone:
                for strip in strips[:3]:
                    strip.unlink()
                    gone.append(strip.name)

        run = begun(cluster, undisturbed.data, CHAOS="slow=0.1")
        assert_same(cluster.session, cluster.until_over(run, remove), undisturbed, n_forgotten=1)
        assert len(gone) == 3

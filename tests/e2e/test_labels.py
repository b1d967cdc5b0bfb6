"""Labels and authors that hold the separator of a table: every example carries the label of its own run."""

from __future__ import annotations

import csv
from pathlib import Path

from db.queries.job_inputs import results, run_facts, strips
from orchestrator.session import Session, open_session
from settings import Settings
from tasks.dataset.shards.shard import read_shard
from tests.e2e.command import orchestrator
from tests.recordings import write_tone

NAMES = (("a", "x|g"), ("a|x", "g"))
"""Label and author; joined by a bar, both pairs read the same."""


def write_table(path: Path, pairs: tuple[tuple[str, str], ...]) -> Path:
    """Eight recordings, in turn of the one and of the other label and author; validation and test have one each.

    Where a part has more than one, the order of its examples also tells the two tables apart, by chance.
    """
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "author", "split"])
        for number in range(8):
            split = {0: "validation", 1: "test"}.get(number, "train")
            table.writerow([f"{number}.wav", *pairs[number % 2], split])
    return path


def packed_labels(session: Session, run: int) -> dict[str, str]:
    """The label of each recording as it stands in the run's shards."""
    facts = run_facts(session.database, run)
    assert facts is not None
    found: dict[str, str] = {}
    for job in results(session.database, run):
        for file in job.shards:
            shard = read_shard(session.store.get(file.key, file.sha256))
            found |= {uri: facts.labels[label] for uri, label in zip(shard.recordings, shard.labels, strict=True)}
    return found


def ledger_labels(session: Session, run: int) -> dict[str, str]:
    facts = run_facts(session.database, run)
    assert facts is not None
    return {row.recording: row.label for row in strips(session.database, run, facts.pipeline_id, None)}


def test_two_tables_whose_fields_read_alike_when_joined_give_shards_of_their_own(tmp_path: Path) -> None:
    for number in range(8):
        write_tone(tmp_path / f"{number}.wav", 1000.0 + 100 * number, 1.0)
    home = tmp_path / "home"
    for name, pairs in (("one.csv", NAMES), ("other.csv", NAMES[::-1])):
        table = write_table(tmp_path / name, pairs)
        answer = orchestrator("run", table, "--until", "pack", "--home", home)
        assert answer.code == 0, answer.err
    session = open_session(Settings(home=home))
    for run, pairs in ((1, NAMES), (2, NAMES[::-1])):
        expected = {f"{number}.wav": pairs[number % 2][0] for number in range(8)}
        assert ledger_labels(session, run) == expected
        assert packed_labels(session, run) == expected
    session.database.close()

"""Per-class tables of a run, from the evaluations in the store."""

from __future__ import annotations

import json

from db.queries.job_inputs import results, run_facts
from domain.results import JobResult
from domain.states import Kind
from domain.work import FinishedJob
from orchestrator.session import Session
from tasks.model.zoo import is_generator
from tasks.report.scoring.classification import Evaluation, classification_table
from tasks.runtime import evaluations


def classification_tables(session: Session, run: int) -> str:
    """The per-class table of every evaluated model, by chunk, in scikit-learn's layout.

    Raises: Damaged if an evaluation is missing from the store, or is not what was written.
    """
    facts = run_facts(session.database, run)
    tables = []
    for job in results(session.database, run):
        if _is_classified(job) and facts is not None:
            evaluation = evaluations.read(session.store, job.result.key, _evaluation)
            fold = f", fold {job.fold}" if job.fold is not None and job.fold >= 0 else ""
            table = classification_table(evaluation.by_chunk, facts.labels)
            tables.append(f"{job.model}{fold}, seed {job.seed}, by chunk\n\n{table}")
    return "\n\n".join(tables)


def _evaluation(data: bytes) -> Evaluation:
    return Evaluation.from_dict(json.loads(data))


def _is_classified(job: FinishedJob[JobResult]) -> bool:
    is_own = job.kind == Kind.EVALUATE and job.variant is None
    return is_own and not is_generator(str(job.model))

"""Facts of a file of scores, for tests of the tables that are made from it."""

from __future__ import annotations

from tasks.detections.score_file import ScoreFacts


def score_facts(*labels: str, **versions: str) -> ScoreFacts:
    """The facts of run 7, a prediction with the model cnn of run 3. versions: of libraries."""
    return ScoreFacts(
        labels=labels, window_s=5.0, overlap_s=0.0, run=7, run_digest="d" * 64, model="3:cnn",
        model_choice="cnn, the best by validation of run 3", networks={"cnn": "a" * 64}, pipeline_digest="b" * 64,
        low_hz=500.0, high_hz=12500.0, versions=versions,
    )  # fmt: skip

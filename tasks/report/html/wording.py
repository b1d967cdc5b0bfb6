"""Format numbers and results for readers."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.report.html.model_views import ModelView
from tasks.report.scoring.scores import Spread

_SPACE = "\u00a0"  # keeps a number and its unit on one line
_TIMES = "\u00d7"


def percent(share: float, decimals: int = 0) -> str:
    """Format a share as a percentage; only exact 0 and 1 become 0 % and 100 %.

    >>> percent(0.714), percent(0.9996), percent(1.0)
    ('71\\xa0%', '99.96\\xa0%', '100\\xa0%')
    """
    while decimals < 6 and share not in (0, 1) and round(100 * share, decimals) in (0, 100):
        decimals += 1
    return f"{100 * share:.{decimals}f}{_SPACE}%"


def count(number: int) -> str:
    """Format a whole number with thousands separators.

    >>> count(8548)
    '8,548'
    """
    return f"{number:,}"


def duration(seconds: float) -> str:
    """Format a duration in its two largest units.

    >>> duration(0.25), duration(75), duration(7_500)
    ('0.25\\xa0s', '1\\xa0min 15\\xa0s', '2\\xa0h 05\\xa0min')
    """
    if seconds < 59.5:
        return f"{seconds:.2g}{_SPACE}s" if seconds < 9.95 else f"{seconds:.0f}{_SPACE}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{_SPACE}min {whole % 60:02d}{_SPACE}s"
    return f"{whole // 3600:,}{_SPACE}h {whole % 3600 // 60:02d}{_SPACE}min"


def size(size_bytes: float) -> str:
    """Format a number of bytes in decimal units.

    >>> size(1_234_000_000)
    '1.23\\xa0GB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g}{_SPACE}{unit}" if size_bytes < 10 else f"{size_bytes:.0f}{_SPACE}{unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g}{_SPACE}TB"


def verdict(models: Sequence[ModelView], test_recordings: str) -> str:
    """Summarise the run in one or two sentences: the scores of the best model and of the majority baseline.

    models: best first.  test_recordings: description of the test recordings, such as `unseen recordings`.
    """
    if not models:
        return "This run trained no model; it only prepared the data."
    best = models[0]
    if best.scores is None:
        return f"No model could be evaluated. {'; '.join(best.failures).capitalize() or 'No training has finished'}."
    scores = best.scores
    several = f", on average over {trainings(best)}" if scores.n_trainings > 1 else ""
    claim = (
        f"{best.name} classifies {percent(scores.accuracy.mean)} of chunks and "
        f"{percent(scores.recording_accuracy.mean)} of {test_recordings} correctly{several}"
    )
    baseline = (
        "always predicting the most frequent class would be correct for "
        f"{percent(scores.majority_accuracy.mean)} of chunks"
    )
    if best.is_no_better_than_guessing:
        return f"{claim}. This is not better than guessing: {baseline}."
    return f"{claim}; {baseline}."


def trainings(model: ModelView) -> str:
    """Return what a model's mean covers, as folds times seeds, or as `5 trainings` if some are missing."""
    evaluated = model.evaluated_trainings
    n_folds, n_seeds = len({each.fold for each in evaluated}), len({each.seed for each in evaluated})
    if len(evaluated) != n_folds * n_seeds or len(evaluated) == 1:
        return f"{len(evaluated)} training{'s' if len(evaluated) > 1 else ''}"
    counts = ((n_folds, "folds"), (n_seeds, "seeds"))
    return f"{_SPACE}{_TIMES}{_SPACE}".join(f"{n}{_SPACE}{what}" for n, what in counts if n > 1)


def spread(score: Spread, decimals: int = 1) -> str:
    """Format a mean over trainings with its standard deviation, in percent.

    >>> spread(Spread(0.714, 0.013)), spread(Spread(0.714, None))
    ('71.4\xa0±\xa01.3\xa0%', '71.4\xa0%')
    """
    if score.deviation is None:
        return percent(score.mean, decimals)
    return f"{100 * score.mean:.{decimals}f}{_SPACE}±{_SPACE}{100 * score.deviation:.{decimals}f}{_SPACE}%"


def interval(bounds: tuple[float, float]) -> str:
    """Format two shares as a range in percent.

    >>> interval((0.6936, 0.7301))
    '69.4 to 73.0\xa0%'
    """
    return f"{100 * bounds[0]:.1f} to {percent(bounds[1], 1)}"


def p_value(p: float) -> str:
    """Format a p-value with its relation sign.

    >>> p_value(0.00004), p_value(0.0312), p_value(0.4)
    ('< 0.001', '= 0.031', '= 0.40')
    """
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"

"""Numbers and outcomes as people say them."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.report.html.models import ModelView
from tasks.report.scoring.scores import Spread

_SPACE = "\u00a0"  # a number and its unit stay on one line
_TIMES = "\u00d7"


def percent(share: float, decimals: int = 0) -> str:
    """A share 0..1 as a percentage, which says 0 % or 100 % only where that is exact.

    >>> percent(0.714), percent(0.9996), percent(1.0)
    ('71\\xa0%', '99.96\\xa0%', '100\\xa0%')
    """
    while decimals < 6 and share not in (0, 1) and round(100 * share, decimals) in (0, 100):
        decimals += 1
    return f"{100 * share:.{decimals}f}{_SPACE}%"


def count(number: int) -> str:
    """A whole number with its thousands apart.

    >>> count(8548)
    '8,548'
    """
    return f"{number:,}"


def duration(seconds: float) -> str:
    """A length of time in the two largest units that matter.

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
    """An amount of storage in decimal units.

    >>> size(1_234_000_000)
    '1.23\\xa0GB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g}{_SPACE}{unit}" if size_bytes < 10 else f"{size_bytes:.0f}{_SPACE}{unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g}{_SPACE}TB"


def verdict(models: Sequence[ModelView], heard: str) -> str:
    """The run in a sentence or two: the best model's scores beside the score of knowing nothing.

    models: best first.  heard: what the test recordings were to the model, such as `unseen recordings`.
    Raises nothing.
    """
    if not models:
        return "No model was asked for: this run prepares the data, and ends there."
    best = models[0]
    if best.scores is None:
        return f"No model could be judged. {'; '.join(best.troubles).capitalize() or 'None of them has finished'}."
    scores = best.scores
    several = f", on average over {trainings(best)}" if scores.n_trainings > 1 else ""
    claim = (
        f"{best.name} names {percent(scores.accuracy.mean)} of chunks and "
        f"{percent(scores.recording_accuracy.mean)} of {heard} correctly{several}"
    )
    floor = f"always answering the commonest class would reach {percent(scores.majority_accuracy.mean)}"
    if best.is_no_better_than_guessing:
        return f"{claim}. That is no better than knowing nothing: {floor}."
    return f"{claim}; {floor}."


def trainings(model: ModelView) -> str:
    """What the mean over the judged trainings of a model is over, `3 folds` and `2 seeds` multiplied.

    Where some of a grid were not judged it is only `5 trainings`.  Raises nothing.
    """
    judged = model.judged_trainings
    n_folds, n_seeds = len({each.fold for each in judged}), len({each.seed for each in judged})
    if len(judged) != n_folds * n_seeds or len(judged) == 1:
        return f"{len(judged)} training{'s' if len(judged) > 1 else ''}"
    counts = ((n_folds, "folds"), (n_seeds, "seeds"))
    return f"{_SPACE}{_TIMES}{_SPACE}".join(f"{n}{_SPACE}{what}" for n, what in counts if n > 1)


def spread(score: Spread, decimals: int = 1) -> str:
    """A mean over trainings with its deviation, where there is one, in percent.

    >>> spread(Spread(0.714, 0.013)), spread(Spread(0.714, None))
    ('71.4\xa0±\xa01.3\xa0%', '71.4\xa0%')
    """
    if score.deviation is None:
        return percent(score.mean, decimals)
    return f"{100 * score.mean:.{decimals}f}{_SPACE}±{_SPACE}{100 * score.deviation:.{decimals}f}{_SPACE}%"


def interval(bounds: tuple[float, float]) -> str:
    """Two shares as a range in percent.

    >>> interval((0.6936, 0.7301))
    '69.4 to 73.0\xa0%'
    """
    return f"{100 * bounds[0]:.1f} to {percent(bounds[1], 1)}"


def p_value(p: float) -> str:
    """The p of a test as people read it.

    >>> p_value(0.00004), p_value(0.0312), p_value(0.4)
    ('< 0.001', '= 0.031', '= 0.40')
    """
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"

"""Progress and results as text for a terminal."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from domain.notes import NOTES, sentence
from domain.plural import counted, duration
from domain.printable import printable
from domain.states import ITEM_TASKS
from orchestrator.progress import Snapshot, Step

_BAR_WIDTH = 30
_RATE_WINDOW_S = 20.0
_LINE_EVERY_S = 5.0


@dataclass
class Rate:
    """The growth rate of a count over the last `window_s` seconds."""

    window_s: float = _RATE_WINDOW_S
    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, at_s: float, done: int) -> None:
        """Add a count."""
        self.seen.append((at_s, done))
        while at_s - self.seen[0][0] > self.window_s:
            self.seen.popleft()

    @property
    def per_second(self) -> float:
        """Units a second; 0 while unknown."""
        (first_s, first), (last_s, last) = self.seen[0], self.seen[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


class ProgressView:
    """Shows bars on a terminal, and a line every few seconds elsewhere; used as a context around `show`."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._rates: dict[str, Rate] = {}
        self._retried: set[str] = set()
        self._live = Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
        self._printed, self._printed_at_s = "", -_LINE_EVERY_S

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)

    def say(self, sentence: str) -> None:
        """Print a line that stays."""
        self._console.print(printable(sentence), highlight=False, markup=False)

    def show(self, seen: Snapshot) -> None:
        """Show the run as it is now."""
        now_s = self._clock()
        steps = seen.steps()
        for step in steps:
            if _is_shown(step):  # jobs are few and long: their rate is measured since the first one
                window_s = _RATE_WINDOW_S if step.name in ITEM_TASKS.values() else math.inf
                self._rates.setdefault(step.name, Rate(window_s)).add(now_s, step.done)
        for reason in seen.retry_reasons:
            if reason not in self._retried:  # each reason once: hundreds of items may have the same
                self._retried.add(reason)
                self.say(f"trying again: {reason}")
        if self._live:
            self._live.update(self._bars(seen, steps))
        else:
            self._print_line(seen, steps, now_s)

    def _bars(self, seen: Snapshot, steps: list[Step]) -> Table:
        table = Table.grid(padding=(0, 1))
        for step in steps:
            filled = _BAR_WIDTH * step.done // step.total if step.total else _BAR_WIDTH
            bar = f"[green]{'━' * filled}[/][dim]{'━' * (_BAR_WIDTH - filled)}[/]"
            table.add_row(step.name, bar, f"{step.done:,}/{step.total:,}", self._pace(step), step.doing)
        colours = {"quarantined": "yellow", "failed": "red"}
        problems = [f"[{colour}]{n:,} {state}[/]" for state, colour in colours.items() if (n := seen.items[state])]
        table.add_row("", ", ".join(problems), "", "", "")
        return table

    def _pace(self, step: Step) -> str:
        rate = self._rates[step.name].per_second if step.name in self._rates else 0.0
        if step.done == step.total or rate <= 0:
            return ""
        pace = f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"
        return f"{pace}, {duration((step.total - step.done) / rate)} left"

    def _print_line(self, seen: Snapshot, steps: list[Step], now_s: float) -> None:
        line = f"run {seen.run.id} {seen.run.state}: " + ", ".join(_plain(step) for step in steps if _is_shown(step))
        if line != self._printed and (now_s - self._printed_at_s >= _LINE_EVERY_S or seen.is_over):
            self.say(line)
            self._printed, self._printed_at_s = line, now_s


def _is_shown(step: Step) -> bool:
    return step.done > 0 or bool(step.doing) or step.name in ITEM_TASKS.values()


def _plain(step: Step) -> str:
    return f"{step.name} {step.done:,}/{step.total:,}" + (f" ({step.doing})" if step.doing else "")


def result_lines(found: dict[str, Any], command: Callable[[str], str], limit: int = 20) -> list[str]:
    """The summary of a run as text, from the object that `--json` prints.

    command: returns a complete command, given the words after `orchestrator`.
    """
    run, counts = found["run"], found["recordings"]
    shown = ", ".join(f"{n:,} {state.replace('_', ' ')}" for state, n in counts.items() if n and state != "total")
    lines = [f"run {found['run']}: {found['state']}; {counted(counts['total'], 'recording')}: {shown}"]
    lines += [_score_line(model, score) for model, score in found["scores"].items()]
    honesty = found["honesty"]
    lines += [_without_line(model, score) for model, score in honesty["scores_without"].items()]
    unread = [
        model for model, score in found["scores"].items() if score.get("by_recording_accuracy_interval", 0) is None
    ]
    lines += [f"no interval for {model}: its evaluation cannot be read; see: {command('doctor')}" for model in unread]
    lines += [_leak_line(model, score, found["scores"].get(model)) for model, score in found["leak_meter"].items()]
    lines += map(_effect_line, found["ablation"])
    lines += _training_notes(found["jobs"])
    lines += _failures(found["jobs"])
    lines += _faults(found["faults"])
    lines += [sentence(NOTES[each["code"]], each["count"], each["recordings"]) for each in found["notes"]]
    rest = command(f"status {run} --json")
    lines += _list("not used:", found["quarantined"], limit, rest)
    lines += _list("used in part:", found["used_in_part"], limit, rest)
    lines += _list(f"failed; `{command(f'retry {run}')}` tries again:", found["failed"], limit, rest)
    lines += _dataset_line(found["dataset"], rest)
    if n_left_out := len(found["left_out"]):
        lines.append(f"{counted(n_left_out, 'recording')} left out by --drop-leaks; `{rest}` names them")
    if n_copies := honesty["joined_copies"]:
        are = counted(n_copies, "recording is an exact copy of another", "recordings are exact copies of others")
        lines.append(f"{are}; copies are in one group")
    if found["report"]:
        lines.append(f"report: {found['report']}")
    if found["state"] == "paused":
        lines.append(f"continue with: {command(f'resume {run}')}")
    if honesty["is_honest"] is False:
        crossing = counted(len(honesty["crossing"]), "tested recording is", "tested recordings are")
        groups = counted(honesty["crossing_groups"], "group")
        what = "these scores are not honest" if found["scores"] else "the split is not honest"
        where = f"{honesty['crossing_csv']} lists them" if honesty.get("crossing_csv") else f"`{rest}` names them"
        lines.append(f"{what}: {crossing} of {groups} on both sides of the split; {where}")
    return lines


def _list(title: str, entries: list[dict[str, str]], limit: int, rest: str) -> list[str]:
    if not entries:
        return []
    lines = [title, *(f"  {entry['recording'] or '(no path)'}: {entry['reason']}" for entry in entries[:limit])]
    if (left := len(entries) - limit) > 0:
        lines.append(f"  … and {left:,} more; `{rest}` lists all")
    return lines


def _dataset_line(found: dict[str, Any], rest: str) -> list[str]:
    """What the plan left out beside its rows, as counts."""
    counts = (
        (found.get("unnamed_recordings") or 0, "recording that no row names", "recordings that no row names"),
        (sum(found.get("files_left_out", {}).values()), "file that is no recording", "files that are no recordings"),
        (len(found.get("folders_without_recordings", ())), "folder without recordings", "folders without recordings"),
        (len(found.get("names_read_as_one", ())), "class with several names", "classes with several names"),
    )
    named = [counted(n, *words) for n, *words in counts if n]
    return [f"in the dataset: {', '.join(named)}; `{rest}` has the details"] if named else []


def _training_notes(jobs: list[dict[str, Any]]) -> list[str]:
    """The notes of trainings, each once for each model."""
    notes = [f"{job['model']}: {note}" for job in jobs if job["variant"] is None for note in job["notes"]]
    return list(dict.fromkeys(notes))


def _failures(jobs: list[dict[str, Any]]) -> list[str]:
    return [
        " ".join(filter(None, (job["kind"], job["model"], job["variant"], _fold(job), job["state"])))
        + f": {job['reason']}"
        for job in jobs
        if job["state"] in ("failed", "cancelled")
    ]


def _fold(job: dict[str, Any]) -> str:
    return f"fold {job['fold']}" if job["fold"] is not None else ""


def _faults(faults: dict[str, int]) -> list[str]:
    names = {
        "retries": ("attempt retried", "attempts retried"),
        "lost_claims": ("claim lost with its worker", "claims lost with their workers"),
        "crashes": ("process crashed", "processes crashed"),
    }
    counts = [counted(faults[name], *words) for name, words in names.items() if faults[name]]
    return [f"faults: {', '.join(counts)}"] if counts else []


def _leak_line(model: str, claimed: dict[str, Any], honest: dict[str, Any] | None) -> str:
    instead = f"; on the honest split {100 * (honest['accuracy'] or 0):.1f} %" if honest else ""
    share = f"{100 * (claimed['accuracy'] or 0):.1f} %"
    return f"leak meter, {model}: shuffled chunks give {share} by chunk{instead}{_coverage(honest or {})}"


def _effect_line(effect: dict[str, Any]) -> str:
    with_it, without, difference, low, high = (
        100 * effect[name] for name in ("with", "without", "difference", "low", "high")
    )
    verdict = "" if effect["is_significant"] else "; may be chance"
    return (
        f"{effect['model']}, {effect['factor']}: {with_it:.1f} % with and {without:.1f} % without by recording, "
        f"difference {difference:+.1f} points ({low:+.1f} to {high:+.1f}, p = {effect['p']:.2g})"
        f"{verdict}{_coverage(effect)}"
    )


def _score_line(model: str, score: dict[str, Any]) -> str:
    if "frechet" in score:
        return (
            f"{model}: Fréchet distance {score['frechet']:.1f} (real examples {score['real_frechet']:.1f}), diversity "
            f"{score['diversity']:.2f}, accuracy with its examples {100 * (score['accuracy_with'] or 0):.1f} %, "
            f"without {100 * (score['accuracy_without'] or 0):.1f} %, by recording"
        )
    spread = f" ± {100 * score['accuracy_sd']:.1f}" if score["accuracy_sd"] is not None else ""
    return (
        f"{model}: accuracy {100 * (score['accuracy'] or 0):.1f} %{spread} by chunk, "
        f"{100 * (score['by_recording_accuracy'] or 0):.1f} %{_bounds(score)} by recording, "
        f"macro F1 {score['macro_f1'] or 0:.3f}{_coverage(score)}"
    )


def _without_line(model: str, score: dict[str, Any] | None) -> str:
    if score is None:
        return f"{model} without the recordings that cross: no recording remains"
    by_chunk = f"accuracy {100 * score['accuracy']:.1f} % by chunk, " if score["accuracy"] is not None else ""
    return (
        f"{model} without the recordings that cross: {by_chunk}{100 * score['by_recording_accuracy']:.1f} % "
        f"by recording, from {counted(score['groups'], 'group')}"
    )


def _coverage(score: dict[str, Any]) -> str:
    """The number of evaluated trainings, unless all have been evaluated."""
    n, n_planned = score.get("trainings", 0), score.get("trainings_planned", 0)
    return f"; over {n} of {n_planned} trainings" if n < n_planned else ""


def _bounds(score: dict[str, Any]) -> str:
    if not (interval := score.get("by_recording_accuracy_interval")):
        return ""
    low, high = interval
    return f" (95 %: {100 * low:.1f} to {100 * high:.1f}, from {counted(score['groups'], 'group')})"

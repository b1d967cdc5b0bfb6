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

from domain.plural import counted, duration
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
        """Adds a count."""
        self.seen.append((at_s, done))
        while at_s - self.seen[0][0] > self.window_s:
            self.seen.popleft()

    @property
    def a_second(self) -> float:
        """Units a second; 0 while unknown."""
        (first_s, first), (last_s, last) = self.seen[0], self.seen[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


class ProgressView:
    """Shows bars on a terminal, and a line every few seconds elsewhere; used as a context around `show`."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._rates: dict[str, Rate] = {}
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
        """Prints a line that stays."""
        self._console.print(sentence, highlight=False, markup=False)

    def show(self, seen: Snapshot) -> None:
        """Shows the run as it is now."""
        now_s = self._clock()
        steps = seen.steps()
        for step in steps:
            if _is_shown(step):  # jobs are few and long: their rate is measured since the first one
                window_s = _RATE_WINDOW_S if step.name == "preprocess" else math.inf
                self._rates.setdefault(step.name, Rate(window_s)).add(now_s, step.done)
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
        rate = self._rates[step.name].a_second if step.name in self._rates else 0.0
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
    return step.done > 0 or bool(step.doing) or step.name == "preprocess"


def _plain(step: Step) -> str:
    return f"{step.name} {step.done:,}/{step.total:,}" + (f" ({step.doing})" if step.doing else "")


def result_lines(found: dict[str, Any], advised: Callable[[str], str], limit: int = 20) -> list[str]:
    """The summary of a run as text, from the object that `--json` prints.

    advised: makes a complete command from the words after `orchestrator`.
    """
    run, counts = found["run"], found["recordings"]
    shown = ", ".join(f"{n:,} {state}" for state, n in counts.items() if n and state != "total")
    lines = [f"run {found['run']}: {found['state']}; {counted(counts['total'], 'recording')}: {shown}"]
    lines += [_score_line(model, score) for model, score in found["scores"].items()]
    unread = [
        model for model, score in found["scores"].items() if score.get("by_recording_accuracy_interval", 0) is None
    ]
    lines += [f"no interval for {model}: its evaluation cannot be read; see: {advised('doctor')}" for model in unread]
    lines += [_leak_line(model, score, found["scores"].get(model)) for model, score in found["leak_meter"].items()]
    lines += map(_effect_line, found["ablation"])
    lines += _failures(found["jobs"])
    lines += _faults(found["faults"])
    rest = advised(f"status {run} --json")
    lines += _list("not used:", found["quarantined"], limit, rest)
    lines += _list(f"given up; `{advised(f'retry {run}')}` tries again:", found["failed"], limit, rest)
    if found["report"]:
        lines.append(f"report: {found['report']}")
    if found["state"] == "paused":
        lines.append(f"continue with: {advised(f'resume {run}')}")
    return lines


def _list(title: str, entries: list[dict[str, str]], limit: int, rest: str) -> list[str]:
    if not entries:
        return []
    lines = [title, *(f"  {entry['recording'] or '(no path)'}: {entry['reason']}" for entry in entries[:limit])]
    if (left := len(entries) - limit) > 0:
        lines.append(f"  … and {left:,} more; `{rest}` lists all")
    return lines


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
    names = {"retries": "retried", "losses": "lost with their worker", "deaths": "ended their process"}
    met = [f"{faults[name]:,} {what}" for name, what in names.items() if faults[name]]
    return [f"attempts survived: {', '.join(met)}"] if met else []


def _leak_line(model: str, claimed: dict[str, Any], honest: dict[str, Any] | None) -> str:
    instead = f"; honestly {100 * (honest['accuracy'] or 0):.1f} %" if honest else ""
    share = f"{100 * (claimed['accuracy'] or 0):.1f} %"
    return f"leak meter, {model}: shuffled chunks would claim {share} by chunk{instead}{_coverage(honest or {})}"


def _effect_line(effect: dict[str, Any]) -> str:
    with_it, without, difference, low, high = (
        100 * effect[name] for name in ("with", "without", "difference", "low", "high")
    )
    verdict = "" if effect["is_significant"] else "; may be chance"
    return (
        f"{effect['model']}, {effect['factor']}: {with_it:.1f} % with and {without:.1f} % without by recording, worth "
        f"{difference:+.1f} points ({low:+.1f} to {high:+.1f}, p = {effect['p']:.2g}){verdict}{_coverage(effect)}"
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


def _coverage(score: dict[str, Any]) -> str:
    """The number of evaluated trainings, unless all have been evaluated."""
    n, n_planned = score.get("trainings", 0), score.get("trainings_planned", 0)
    return f"; over {n} of {n_planned} trainings" if n < n_planned else ""


def _bounds(score: dict[str, Any]) -> str:
    if not (interval := score.get("by_recording_accuracy_interval")):
        return ""
    low, high = interval
    return f" (95 %: {100 * low:.1f} to {100 * high:.1f}, from {counted(score['groups'], 'group')})"

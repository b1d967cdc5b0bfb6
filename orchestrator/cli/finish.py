"""The end of a command that followed a run: its summary, its tables if it is a prediction, and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer

from orchestrator.cli.output import print_json, say

if TYPE_CHECKING:
    from orchestrator.prediction_tables import TableRequest
    from orchestrator.session import Session


def finish(session: Session, run: int, *, as_json: bool, tables: TableRequest | None = None) -> NoReturn:
    """Print the summary of a run that is over, and exit with its code.

    tables: of a prediction, to write if it is done; None only says how to write them.
    """
    from domain.states import RunKind, RunState  # noqa: PLC0415
    from orchestrator.cli.terminal import result_lines  # noqa: PLC0415
    from orchestrator.monitoring import summary  # noqa: PLC0415
    from orchestrator.progress import snapshot  # noqa: PLC0415

    found = summary.summary(session.database, session.store, run)
    lines = result_lines(found, session.settings.command)
    seen = snapshot(session.database, run).run
    if seen.kind == RunKind.PREDICT and seen.state == RunState.DONE:
        if tables is None:
            lines.append(f"write its tables with: {session.settings.command(f'detections {run}')}")
        else:
            from orchestrator.prediction_tables import write_detections  # noqa: PLC0415

            written = write_detections(session, run, tables)
            found["detections"] = written.as_dict()
            lines += written.lines()
    if as_json:
        print_json(found)
    for line in lines:
        say(line)
    raise typer.Exit(summary.exit_code(session.database, run))

"""Executes a run on this machine, follows a run that other processes execute, and feeds all runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from db.ledger import control
from db.ledger.identity import adopt
from db.ledger.leader import Leadership
from domain.errors import ChorusError
from domain.states import CLAIMABLE, Kind, RunState, State
from orchestrator.broker import Sender
from orchestrator.execution.dispatcher import Dispatcher, dispatch_forever
from orchestrator.execution.local_processes import LocalProcesses
from orchestrator.progress import Snapshot, View, snapshot
from orchestrator.session import Session
from orchestrator.waiting import OutageTolerance, wait_for
from tasks.runtime import liveness
from workers.roles import CPU, GPU

_POLL_EVERY_S = 0.25
_LEADER_CHECK_EVERY_S = 1.0


class DispatcherThread:
    """Runs a dispatcher beside the progress view, so that a slow broker never freezes the terminal.

    At the end it closes the dispatcher.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._over = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(dispatcher,), name="dispatcher", daemon=True)

    def _run(self, dispatcher: Dispatcher) -> None:
        try:
            dispatch_forever(dispatcher, self._over.is_set, self._over.wait)
        except BaseException as error:  # the main thread raises it
            self._failed = error
        finally:
            dispatcher.close()

    def __enter__(self) -> DispatcherThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=10)

    def require_alive(self) -> None:
        """Raise the error that ended the dispatcher, if any."""
        if self._failed is not None:
            raise self._failed


def run_here(session: Session, begin: Callable[[], int], progress: View, flower_port: int | None = None) -> int:
    """Executes, with local processes, the run that `begin` plans or resumes; returns its number when it is over.

    The home is locked before anything is planned in it. Ctrl-C pauses the run.
    """
    with LocalProcesses(session.settings, session.database, sends_events=flower_port is not None) as processes:
        adopt(session.database, session.store)
        processes.start_worker(CPU)  # it starts up while the run is planned
        run = begin()
        sender = Sender(session.settings)
        sender.require_broker()
        if flower_port is not None:
            progress.say(f"monitor: {processes.start_flower(flower_port)}")
        dispatcher = Dispatcher(session.database, sender, session.settings, only_run=run)
        try:
            with progress, DispatcherThread(dispatcher) as thread:
                _until_over(session, run, progress, processes, thread)
        except KeyboardInterrupt:
            control.pause(session.database, run)
            command = session.settings.command(f"resume {run}")
            progress.say(f"stopping; finished work is kept. Continue with: {command}")
            raise
    return run


def _until_over(session: Session, run: int, view: View, processes: LocalProcesses, thread: DispatcherThread) -> None:
    outages = OutageTolerance(view.say)
    while True:
        processes.require_own_home()
        with outages.tolerated():
            seen = snapshot(session.database, run)
            view.show(seen)
            if seen.is_over:
                return
            if _is_gpu_worker_needed(seen):
                for warning in processes.start_worker(GPU):
                    view.say(warning)
            for news in processes.watch():
                view.say(news)
        thread.require_alive()
        time.sleep(_POLL_EVERY_S)


def _is_gpu_worker_needed(seen: Snapshot) -> bool:
    is_gpu_job_open = any(
        job.kind in (Kind.TRAIN, Kind.EVALUATE) and job.state in (*CLAIMABLE, State.RUNNING) for job in seen.jobs
    )
    return is_gpu_job_open and seen.n_open == 0


def follow(session: Session, run: int, view: View) -> None:
    """Show the run until it is over. Other processes do the work; Ctrl-C only ends the view."""
    outages = OutageTolerance(view.say)
    while True:
        with outages.tolerated():
            seen = snapshot(session.database, run)
            view.show(seen)
            if seen.is_over:
                return
        time.sleep(_POLL_EVERY_S)


def dispatch_here(session: Session, view: View, exporter: AbstractContextManager[object] | None = None) -> None:
    """Feed all runs until interrupted. Starts the embedded broker unless a URL names another one.

    exporter: serves metrics while its context is active.
    """
    with contextlib.ExitStack() as parts:
        processes = None
        if session.settings.is_broker_embedded:
            processes = parts.enter_context(LocalProcesses(session.settings, session.database, takes_submissions=True))
        if exporter:
            parts.enter_context(exporter)
            view.say(f"metrics: http://{session.settings.metrics_address}:{session.settings.metrics_port}/metrics")
        _dispatch_all(session, view, processes)


def _dispatch_all(session: Session, view: View, processes: LocalProcesses | None) -> None:
    settings = session.settings
    with Sender(settings) as sender:
        wait_for(sender.require_broker, settings.wait_s, view.say, settings.progress_file)
    outages = OutageTolerance(view.say)
    with Leadership(session.database) as leadership:
        while True:
            _await_leadership(session, view, leadership)
            view.say(f"dispatching for {session.database.safe_url}; Ctrl-C stops")
            sender = Sender(settings)  # not shared: the previous dispatcher's thread may not have ended yet
            with DispatcherThread(Dispatcher(session.database, sender, settings)) as thread:
                while leadership.acquire():
                    thread.require_alive()
                    if processes:
                        processes.require_own_home()
                    with outages.tolerated():
                        for news in processes.watch() if processes else ():
                            view.say(news)
                    time.sleep(_LEADER_CHECK_EVERY_S)
            view.say("lost the leader lock: the database does not answer")


def _await_leadership(session: Session, view: View, leadership: Leadership) -> None:
    is_reported = False
    while not leadership.acquire():
        if not is_reported:
            view.say("standing by: another dispatcher holds the leader lock, or the database does not answer")
            is_reported = True
        liveness.touch(session.settings.progress_file)
        time.sleep(_LEADER_CHECK_EVERY_S)


class RunIsOver(ChorusError):
    """The run has ended."""

    exit_code = 2


def resume_run(session: Session, run: int) -> int:
    """Continue the run.

    Raises:
        UnknownRun: there is no such run.
        RunIsOver: nothing is left to do.
    """
    state = snapshot(session.database, run).run.state
    if control.resume(session.database, run):
        return run
    if state == RunState.PLANNING:
        raise RunIsOver(f"run {run} was not planned completely; submit its dataset again")
    command = session.settings.command(f"retry {run}")
    raise RunIsOver(f"run {run} is {state}; `{command}` tries quarantined, failed and cancelled work again")


def retry_run(session: Session, run: int) -> int:
    """Try quarantined, failed and cancelled work again.

    Raises:
        UnknownRun: there is no such run.
        RunIsOver: there is no such work.
    """
    seen = snapshot(session.database, run)
    n = control.retry(session.database, run)
    if n == 0 and not seen.is_over:
        raise RunIsOver(f"run {run} is {seen.run.state}; cancel it, or let it end, before anything is tried again")
    if n == 0:
        raise RunIsOver(f"run {run} is {seen.run.state}, and nothing of it was quarantined, failed or cancelled")
    return run

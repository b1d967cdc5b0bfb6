"""Units of work, as plans make them and the ledger stores them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, cast

from domain.results import FileRole, JobResult, OutputFile

_Result_co = TypeVar("_Result_co", bound=JobResult, covariant=True)
_Wanted = TypeVar("_Wanted", bound=JobResult)

MAX_ITEMS_PER_MESSAGE = 200
"""Maximum number of items in a message; bounds the size of SQL statements."""


class PlannedItem(NamedTuple):
    """One span to preprocess, and where its examples go.

    copy: 0 for the recording itself, else the number of an augmented copy.  group_name: what must stay in one subset.
    order_key: 64 bits, the place in the packed order.  work_s: estimated seconds of one core.
    """

    recording_id: int
    span: int
    copy: int
    fold: int
    subset: int
    group_name: str
    order_key: int
    work_s: float


@dataclass(frozen=True)
class PlannedJob:
    """One job of a plan.

    needs: positions of other jobs in the plan's list.  even_failed: it runs although jobs that it needs have failed.
    preset: a position among the run's presets.  variant: the change that its model is trained with; None for none.
    """

    kind: str
    model: str | None = None
    seed: int | None = None
    fold: int | None = None
    subset: int | None = None
    needs: tuple[int, ...] = ()
    even_failed: bool = False
    preset: int = 0
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What an earlier plan found in a file; valid while size and time of change are the same."""

    size_bytes: int
    mtime_ns: int
    digest: str
    n_frames: int
    rate_hz: int


@dataclass(frozen=True)
class JobFacts:
    """The columns of a job's row that its plan set and no attempt changes."""

    id: int
    kind: str
    model: str | None
    seed: int | None
    fold: int | None
    subset: int | None
    pipeline_id: int | None
    variant: str | None


@dataclass(frozen=True)
class FinishedJob(JobFacts, Generic[_Result_co]):
    """A finished job with its result and its files in the store."""

    result: _Result_co
    files: tuple[OutputFile, ...] = ()

    @property
    def shards(self) -> list[OutputFile]:
        """The shards of real examples that it packed."""
        return self._in_order(FileRole.SHARD, getattr(self.result, "shards", ()))

    @property
    def synthetic_shards(self) -> list[OutputFile]:
        """The shards of examples that it generated."""
        return self._in_order(FileRole.SYNTHETIC, getattr(self.result, "synthetic_shards", ()) or ())

    def _in_order(self, role: FileRole, keys: Iterable[str]) -> list[OutputFile]:
        """The files in the order of the result; a training depends on the order of its shards."""
        by_key = {file.key: file for file in self.files if file.role == role}
        return [by_key[key] for key in keys]

    @property
    def bundle(self) -> OutputFile:
        """The bundle of the model that it trained."""
        return next(file for file in self.files if file.role == FileRole.MODEL)


def with_result(jobs: Iterable[FinishedJob[Any]], kind: type[_Wanted]) -> list[FinishedJob[_Wanted]]:
    """Those of the jobs whose result is of this kind."""
    return [cast("FinishedJob[_Wanted]", job) for job in jobs if isinstance(job.result, kind)]

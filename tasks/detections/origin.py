"""When and where the recordings of a prediction were made, in the zone and with the sites that the user names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import NamedTuple

from tasks.dataset.recorders.recorded_at import TimeDoubt, recorded_at
from tasks.dataset.recorders.sites import Sites
from tasks.detections.score_file import ScoredRecording


class Origin(NamedTuple):
    """The start and the site of a recording. utc, local: as in `RecordedAt`.  site: "" if it is unknown."""

    utc: datetime | None = None
    local: datetime | None = None
    site: str = ""


UNKNOWN = Origin()


@dataclass
class Origins:
    """Finds the origin of each recording, and counts recordings by what is known of their time.

    zone: for recordings whose zone is not written and whose site has none; None: their UTC stays unknown.
    by_source: "header", "name" or "none".  by_zone: "header", "name", "option" or "unknown"; only recordings with a
    time.  n_unlisted: recordings that no row of the sites names.
    """

    zone: tzinfo | None = None
    sites: Sites = field(default_factory=Sites)
    by_source: Counter[str] = field(default_factory=Counter)
    by_zone: Counter[str] = field(default_factory=Counter)
    by_doubt: Counter[TimeDoubt] = field(default_factory=Counter)
    n_unlisted: int = 0

    def of(self, recording: ScoredRecording) -> Origin:
        """Return the origin of a recording, and count it."""
        site = self.sites.of(recording.uri)
        self.n_unlisted += not site.is_listed
        clock = recording.clock
        if clock is None:
            self.by_source["none"] += 1
            self.by_doubt[TimeDoubt.NO_TIME] += 1
            return Origin(site=site.name)
        found = recorded_at(clock, site.zone or self.zone)
        self.by_doubt[found.doubt] += 1
        if found.local is None:
            self.by_source["none"] += 1
            return Origin(site=site.name)
        self.by_source["header" if clock.is_header else "name"] += 1
        self.by_zone[found.zone or "unknown"] += 1
        return Origin(found.utc, found.local, site.name)

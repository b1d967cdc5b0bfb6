"""What a pass over a dataset notices beside its rows: files left out, files that no row names, names read as one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from domain.plural import counted

_SHOWN = 3
_MOST_NAMES = 10_000


@dataclass
class Findings:
    """Counts and examples. Memory grows with the number of classes and of file endings only.

    n_unnamed: recordings on disk that no row names; None if they were not counted.
    is_unnamed_complete: False if the search stopped early, because the folder holds many more files than rows.
    n_by_content: files used although their names do not end like audio.
    left_out: files in class folders that are not recordings, by ending.
    split_folders: names of folders inside class folders that give split or fold.
    read_as: the spellings or folders of each label. What is read as itself alone is not reported.
    """

    names: str = "spellings"
    n_unnamed: int | None = None
    is_unnamed_complete: bool = True
    unnamed: list[str] = field(default_factory=list)
    n_by_content: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    first_left_out: dict[str, str] = field(default_factory=dict)
    empty_folders: list[str] = field(default_factory=list)
    split_folders: dict[str, None] = field(default_factory=dict)
    read_as: dict[str, dict[str, None]] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget everything, for a new pass."""
        self.__init__(names=self.names)  # type: ignore[misc]

    def read(self, name: str, label: str) -> None:
        """Note that a folder or a cell was read as this label."""
        if len(self.read_as) < _MOST_NAMES:
            names = self.read_as.setdefault(label, {})
            if len(names) < _MOST_NAMES:
                names[name] = None

    def leave_out(self, uri: str, ending: str) -> None:
        """Count a file that is not a recording."""
        self.left_out[ending] += 1
        self.first_left_out.setdefault(ending, uri)

    def name_unnamed(self, uri: str) -> None:
        """Count a recording that no row names."""
        self.n_unnamed = (self.n_unnamed or 0) + 1
        if len(self.unnamed) <= _SHOWN:
            self.unnamed.append(uri)

    @property
    def _where(self) -> str:
        return " in class folders" if self.names == "folders" else ""

    def merged(self) -> dict[str, list[str]]:
        """Return the labels that several folders or spellings were read as."""
        return {label: sorted(names) for label, names in sorted(self.read_as.items()) if len(names) > 1}

    def lines(self) -> list[str]:
        """Return a sentence for everything that the user should know before a submission."""
        lines = [
            f"{len(names):,} {self.names} read as {label}: {_listed([_visible(name) for name in names], '; ')}"
            for label, names in self.merged().items()
        ]
        if self.split_folders:
            names = sorted(self.split_folders)
            lines.append(
                f"split or folds come from folders inside the class folders: {_listed(names, ', ')}; "
                f"if their names mean nothing: --class-folders {','.join(names)}"
            )
        if self.n_by_content:
            lines.append(
                f"{counted(self.n_by_content, 'file')} without the ending of an audio format, used because "
                "the content begins like audio"
            )
        if self.left_out:
            found = ", ".join(
                f"{n:,} x {ending} ({self.first_left_out[ending]})" for ending, n in self.left_out.most_common()
            )
            lines.append(f"{counted(self.left_out.total(), 'file')}{self._where} left out, no recordings: {found}")
        if self.empty_folders:
            n = counted(len(self.empty_folders), "folder")
            lines.append(f"{n} without recordings, not a class: {_listed(self.empty_folders, ', ')}")
        if self.n_unnamed:
            n = counted(self.n_unnamed, "recording")
            at_least = "" if self.is_unnamed_complete else "at least "
            lines.append(
                f"{at_least}{n} in the folder not used, no usable row names them: {_listed(self.unnamed, ', ')}"
            )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for `--json`."""
        return {
            "unnamed_recordings": self.n_unnamed,
            "files_left_out": dict(sorted(self.left_out.items())),
            "files_used_by_content": self.n_by_content,
            "folders_without_recordings": sorted(self.empty_folders),
            "names_read_as_one": self.merged(),
        }


def _listed(names: list[str], separator: str) -> str:
    more = ["…"] if len(names) > _SHOWN else []
    return separator.join([*names[:_SHOWN], *more])


def _visible(name: str) -> str:
    """Return a name with invisible characters escaped."""
    return "".join(char if char == " " or char.isprintable() else f"\\u{ord(char):04x}" for char in name)

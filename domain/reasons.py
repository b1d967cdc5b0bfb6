"""Reasons for the end of an item or a job, or for an unusable row: a code for programs, a sentence for people.

The ledger stores both. Programs compare and count codes; no program reads the sentence.
docs/reference/quarantine.md lists the codes; a test compares it with this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReasonCode(StrEnum):
    """A reason's code; `words` is its short name for people, `meaning` the sentence of the documentation."""

    words: str
    meaning: str

    def __new__(cls, code: str, words: str, meaning: str) -> ReasonCode:
        """A member; the code alone is its value."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.words, member.meaning = words, meaning
        return member

    # Read in the recording's bytes.
    UNREADABLE = "unreadable", "unreadable", "The bytes look like a known format but cannot be decoded."
    EMPTY = "empty", "empty", "The recording holds no samples."
    TOO_SHORT = "too_short", "too short", "The recording is shorter than the preset's shortest recording."
    SILENT = "silent", "silent", "No sample is louder than the preset's silence level."
    UNSUPPORTED_FORMAT = (
        "unsupported_format", "unsupported format", "The format, rate or number of channels cannot be decoded here.",
    )  # fmt: skip
    HEADER_MISMATCH = (
        "header_mismatch", "header and content disagree", "The header declares content that the file does not hold.",
    )  # fmt: skip

    OFF_SCALE = (
        "off_scale", "samples beyond full scale",
        "Samples are far beyond full scale, such as integers stored as floats.",
    )  # fmt: skip

    # About the place of the recording's file.
    MISSING = "missing", "missing", "The file is missing now, or its name leads to no file."
    CHANGED = "changed", "changed since it was planned", "The file's bytes are not those that were planned."
    OUTSIDE_DATASET = (
        "outside_dataset", "outside the dataset folder", "The path or a link leads out of the dataset's folder.",
    )  # fmt: skip

    # About the processes and the machine that did the work.
    CRASHED_WORKER = (
        "crashed_worker", "ended its process", "Decoding it crashed its worker process, or exceeded the time limit.",
    )  # fmt: skip
    WORKER_LOST = (
        "worker_lost", "lost its worker",
        "Its worker was killed, ended unexpectedly, or did not renew the lease.",
    )  # fmt: skip
    WORKER_STOPPED = "worker_stopped", "worker stopped", "Its worker was asked to stop; the work waits for another one."
    MACHINE_FAULT = (
        "machine_fault", "machine fault", "The disk, the store, the database or the program failed at every attempt.",
    )  # fmt: skip
    NO_DECODER = (
        "no_decoder", "needs a decoder that is not installed",
        "An optional package decodes this format, and it is not installed on the machine that tried.",
    )  # fmt: skip
    STRIP_REMOVED = "strip_removed", "strip removed", "Its strip was removed from the ledger while it was worked on."
    FILE_LOST = (
        "file_lost", "file lost", "`doctor --repair` found that its file in the store is missing or damaged.",
    )  # fmt: skip
    DAMAGED_FILE = "damaged_file", "damaged file", "A strip, shard or model that the job reads is damaged."

    # About the request, or about a decision elsewhere.
    IMPOSSIBLE = "impossible", "impossible", "The request cannot be met with this data, however often it is tried."
    CANCELLED_BY_USER = "cancelled_by_user", "cancelled", "A person cancelled the run."
    NEED_FAILED = "need_failed", "need failed", "A job that this one needs failed or was cancelled."
    ITEMS_FAILED = (
        "items_failed",
        "items failed",
        "Items of the run failed, so nothing is trained on a part of the data.",
    )

    # About a row of the dataset that names no usable recording.
    NOT_FOUND = "not_found", "missing file", "The row names a file that does not exist."
    EMPTY_PATH = "empty_path", "empty path", "The row has no path."
    UNREADABLE_PATH = "unreadable_path", "unreadable path", "The path holds a NUL character."
    UNPRINTABLE_NAME = (
        "unprintable_name",
        "unprintable name",
        "The file's name holds control characters or is not UTF-8.",
    )
    DUPLICATE_PATH = "duplicate_path", "duplicate path", "An earlier row names the same file; the earlier row is used."
    CONTRADICTING_LABELS = (
        "contradicting_labels",
        "contradicting labels",
        "An earlier row names the same file with another label; the earlier row is used.",
    )
    LEFT_OUT = (
        "left_out", "left out",
        "`--drop-leaks` left the recording out: its group, or an exact copy, is on the other side of the split.",
    )  # fmt: skip
    UNREADABLE_ROW = (
        "unreadable_row",
        "unreadable row",
        "The row is not a row of this table: too many or too few fields.",
    )
    NO_LABEL = "no_label", "no label", "The file is in no class folder."
    EMPTY_LABEL = "empty_label", "empty label", "The row has no label."
    LABEL_TOO_LONG = "label_too_long", "label too long", "The label has more than 200 characters."
    UNPRINTABLE_LABEL = (
        "unprintable_label", "unprintable label", "The label holds control characters or is not UTF-8.",
    )  # fmt: skip
    NAME_TOO_LONG = "name_too_long", "name too long", "The name of the author or group has more than 1,000 characters."
    BAD_FOLD = "bad_fold", "fold is not a number", "The fold is not a whole number from 0 to 9999."
    BAD_SPLIT = "bad_split", "unknown split word", "The split is not one of the words for train, valid and test."
    LINKED_FOLDER = "linked_folder", "linked folder is not followed", "A link to a folder is not followed."
    LOCKED_FOLDER = "locked_folder", "folder cannot be opened", "A folder may not be read by this user."
    NO_PERMISSION = (
        "no_permission",
        "cannot be opened",
        "This user may not read the file or its folder, but other files of the dataset.",
    )
    CANNOT_BE_READ = (
        "cannot_be_read",
        "cannot be read",
        "Reading the file fails, and other files of the dataset can be read.",
    )
    CHANGED_WHILE_READ = (
        "changed_while_read", "changed while it was read", "Another program wrote to the file during planning.",
    )  # fmt: skip

    UNKNOWN = "unknown", "unknown", "The row was written by an older version and its sentence fits no other code."


IN_THE_BYTES = frozenset(
    {
        ReasonCode.UNREADABLE, ReasonCode.EMPTY, ReasonCode.TOO_SHORT, ReasonCode.SILENT,
        ReasonCode.UNSUPPORTED_FORMAT, ReasonCode.HEADER_MISMATCH, ReasonCode.OFF_SCALE,
    }
)  # fmt: skip
"""Codes that hold for the same bytes in every run. Missing files and crashes are not inherited; they may not recur."""


@dataclass(frozen=True)
class Reason:
    """A code and its sentence, as the ledger stores them."""

    code: ReasonCode
    sentence: str

    def __str__(self) -> str:
        return self.sentence


CANCELLED = Reason(ReasonCode.CANCELLED_BY_USER, "the run was cancelled")


def columns_of(reason: Reason | None) -> dict[str, str | None]:
    """The values of a row's columns `reason` and `reason_code`.

    >>> columns_of(CANCELLED)
    {'reason': 'the run was cancelled', 'reason_code': 'cancelled_by_user'}
    """
    if reason is None:
        return {"reason": None, "reason_code": None}
    return {"reason": reason.sentence, "reason_code": reason.code.value}


def words_of(code: str | None) -> str:
    """The short name of a stored code; "unknown" for none, and for one of a later version.

    >>> words_of("too_short"), words_of(None)
    ('too short', 'unknown')
    """
    return _WORDS.get(code or "", ReasonCode.UNKNOWN.words)


_WORDS = {code.value: code.words for code in ReasonCode}

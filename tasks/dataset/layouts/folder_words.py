"""Folder names such as `train`, `fold1` and `wavs`: they say how a dataset is divided or stored, and are no classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from tasks.dataset.layouts.columns import SPLIT_WORDS

# Words for a place where files are kept. Plausible classes ("noise", "waves", "songs", "class 1") are not among them.
# fmt: off
_CONTAINERS = frozenset({
    "aif", "aiff", "audio", "audiofile", "audiofiles", "audios", "chunk", "chunks", "clip", "clips", "data", "dataset",
    "datasets", "download", "downloads", "file", "files", "flac", "flacs", "folds", "input", "inputs", "m4a", "media",
    "mp3", "mp3s", "ogg", "oggs", "opus", "original", "originals", "part", "parts", "raw", "recording", "recordings",
    "sample", "samples", "segment", "segments", "slice", "slices", "sound", "soundfiles", "sounds",
    "soundscape", "soundscapes", "split", "splits", "subset", "subsets", "wav", "wavs",
})
# fmt: on
# Words that say nothing alone, but do not make a class of their neighbours either: `train_set`, `train_short_audio`.
_NEUTRAL = frozenset({"all", "long", "mono", "set", "short", "stereo"})
_RATE = re.compile(r"\d+(?:k|hz|khz)?")
_FOLD = re.compile(r"(?:cv|k)?(?:fold|split)(\d{1,4})")


class FolderWord(NamedTuple):
    """What a folder's name says. split: "train", "valid" or "test".  Both are None for a container such as `audio`."""

    split: str | None = None
    fold: int | None = None


def folder_word(name: str) -> FolderWord | None:
    """Return what a folder's name says about split, fold or storage; None if it may be a class.

    >>> folder_word("Train_audio"), folder_word("fold 3"), folder_word("wavs"), folder_word("wren")
    (FolderWord(split='train', fold=None), FolderWord(split=None, fold=3), FolderWord(split=None, fold=None), None)
    """
    tokens = [token for token in re.split(r"[\W_]+", name.casefold()) if token]
    if fold := _FOLD.fullmatch("".join(tokens)):
        return FolderWord(fold=int(fold[1]))
    words = [token if token in _CONTAINERS else token.rstrip("0123456789") or token for token in tokens]
    splits = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
    rest = [word for word in words if word not in SPLIT_WORDS]
    if not all(word in _CONTAINERS or word in _NEUTRAL or _RATE.fullmatch(word) for word in rest):
        return None
    if splits and not {words[0], words[-1]} & SPLIT_WORDS.keys():
        return None  # `flac_test_files` names a source
    if splits:
        return FolderWord(split=splits[0]) if len(set(splits)) == 1 else FolderWord()
    is_container = any(word in _CONTAINERS for word in rest)
    return FolderWord() if is_container else None


class FolderWords:
    """`folder_word` with exceptions: names that the user declares to be classes. Remembers the names it was asked."""

    def __init__(self, classes: Iterable[str] = ()) -> None:
        self._classes = frozenset(map(_plain, classes))
        self._known: dict[str, FolderWord | None] = {}

    def of(self, name: str) -> FolderWord | None:
        """Return what the name says; None for a class."""
        if name not in self._known:
            self._known[name] = None if _plain(name) in self._classes else folder_word(name)
        return self._known[name]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()

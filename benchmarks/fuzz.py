"""Coverage-guided fuzzing of what reads bytes from elsewhere: `make fuzz`, which installs atheris.

    python -m benchmarks.fuzz archives|recordings [--seconds 26]

Strips and shards are not included: their digests are compared before they are parsed. Begins with whole files of our
own, and for recordings with the small ones of CHORUS_SHARED/data/bad as well. Every input is read, or refused with a
typed reason in words. The first one that is neither ends the process with a traceback, and is written to the folder
that is named; so does one that takes over ten seconds or 2 GB. libFuzzer's last line says how many inputs were tried.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tasks", "zipfile"]):
    from domain.errors import ChorusError, Unusable
    from tasks.audio.preset import load_preset
    from tasks.audio.strip import encode, make_strip, warm
    from tasks.model.bundle import archive

from tests.recordings import write_tone
from tests.shared_data import shared_folder

Read = Callable[[bytes], object]
SLOWEST_S, MOST_MB = 10, 2000


def main() -> None:
    """Reads the options and fuzzes: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=26)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"chorus-fuzz-{arguments.what}-"))
    print(f"{arguments.what}: seeds, and what breaks, in {folder}", file=sys.stderr)
    read, reason, seeds = TARGETS[arguments.what](folder)
    (folder / "seeds").mkdir()
    for number, seed in enumerate(seeds):
        (folder / "seeds" / str(number)).write_bytes(seed)

    def one_input(content: bytes) -> None:
        try:
            read(content)
        except reason as error:
            if not str(error):
                raise AssertionError("a reason without words") from error

    options = (
        f"-max_total_time={arguments.seconds}", f"-timeout={SLOWEST_S}", f"-rss_limit_mb={MOST_MB}",
        f"-artifact_prefix={folder}/", f"-max_len={max(map(len, seeds)) * 2}", str(folder / "seeds"),
    )  # fmt: skip
    atheris.Setup([sys.argv[0], *options], one_input)
    atheris.Fuzz()


def archives(_: Path) -> tuple[Read, type[ChorusError], list[bytes]]:
    """What unpacks model bundles, its reasons, and a whole archive to begin with."""
    whole = archive.pack(dict.fromkeys(archive.MEMBERS, b"{}" * 50))
    return archive.unpack, archive.BundleError, [whole]


def recordings(folder: Path) -> tuple[Read, type[ChorusError], list[bytes]]:
    """What makes strips of recordings, its reasons, and tones in four formats and broken recordings to begin with."""
    preset = load_preset("birdclef2021")
    warm(preset)

    def read(content: bytes) -> bytes:
        (folder / "a").write_bytes(content)
        return encode(make_strip(folder / "a", "d" * 64, 0, 0, preset))

    seeds = [write_tone(folder / f"tone.{kind}", 3000.0, 0.5).read_bytes() for kind in ("wav", "flac", "ogg", "mp3")]
    shared = shared_folder()
    bad = [path.read_bytes() for path in sorted((shared / "data/bad").rglob("*")) if path.is_file()] if shared else []
    return read, Unusable, seeds + [content for content in bad if 0 < len(content) < 50_000]


TARGETS = {each.__name__: each for each in (archives, recordings)}

if __name__ == "__main__":
    main()

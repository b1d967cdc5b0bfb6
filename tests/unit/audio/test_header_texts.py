"""The texts in the headers of recordings, also of damaged and hostile ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from tasks.audio.containers.header_texts import NO_TEXTS, HeaderTexts, header_texts, texts_of
from tasks.audio.source import Remote, open_source
from tests.recorder_files import AUDIOMOTH, GUANO, bext, chunk, comment, guano, rf64, samples, wav, write


class Bytes:
    """A file in memory that counts its reads."""

    name = "a.wav"

    def __init__(self, content: bytes) -> None:
        self.content, self.size_bytes = content, len(content)
        self.n_reads = self.n_bytes = 0

    def pread(self, n_bytes: int, at: int) -> bytes:
        found = self.content[at : at + n_bytes]
        self.n_reads += 1
        self.n_bytes += len(found)
        return found


def test_audiomoths_comment_is_read_without_its_padding(tmp_path):
    path = write(tmp_path / "a.wav", wav(comment(AUDIOMOTH), samples()))
    assert soundfile.info(path).frames == 100
    assert header_texts(path) == HeaderTexts(comment=AUDIOMOTH)


def test_all_three_texts_are_read_before_and_after_the_samples(tmp_path):
    path = write(
        tmp_path / "a.wav", wav(bext("2020-12-14", "19:22:55"), samples(101), comment(AUDIOMOTH), guano(GUANO))
    )
    assert soundfile.info(path).frames == 101
    assert header_texts(path) == HeaderTexts(AUDIOMOTH, GUANO.strip(), "2020-12-14 19:22:55")


def test_a_chunk_after_the_samples_of_an_rf64_file_is_found(tmp_path):
    path = write(tmp_path / "a.wav", rf64(101, guano(GUANO)))
    assert soundfile.info(path).frames == 101
    assert header_texts(path).guano == GUANO.strip()


def test_the_comment_of_a_flac_file_is_read(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 48_000, 1) as file:
        file.title, file.comment = "a bird", AUDIOMOTH
        file.write(np.zeros(1000))
    assert header_texts(tmp_path / "a.flac") == HeaderTexts(comment=AUDIOMOTH)


def test_a_remote_recording_is_read_in_few_ranges():
    content = wav(samples(5_000_000), guano(GUANO))
    ranges = []

    def fetch(start: int, stop: int) -> bytes:
        ranges.append((start, stop))
        return content[start:stop]

    assert header_texts(Remote("a.wav", len(content), fetch)).guano == GUANO.strip()
    assert len(ranges) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"fLaC" + bytes(100),
        b"fLaC\x84\xff\xff\xff" + b"\xff" * 100,
        b"fLaC\x84\0\0\x10" + bytes(16),
        b"RIFF\0\0\0\0AVI " + comment(AUDIOMOTH),
        wav(samples()),
        wav(chunk(b"LIST", b"adtl" + chunk(b"ICMT", b"no comment"))),
        wav(chunk(b"LIST", b"INFO" + b"ICMT")),
        wav(chunk(b"LIST", b"INFO" + b"ICRD\xff\xff\xff\xff" + AUDIOMOTH.encode())),
        wav(chunk(b"bext", b"short")),
        wav(chunk(b"guan", b"\0\0\0\0")),
        rf64(10)[:-25] + guano(GUANO),  # the samples are shorter than stated
    ],
    ids=range(14),
)
def test_a_header_without_texts_or_with_damaged_ones_gives_none(content):
    assert texts_of(Bytes(content)) == NO_TEXTS


def test_a_stated_size_beyond_the_end_gives_what_is_there():
    assert texts_of(Bytes(wav(chunk(b"guan", GUANO.encode(), stated=0xFFFF_FFF0)))).guano == GUANO.strip()


@pytest.mark.parametrize("stated", [2**64 - 1, 2**63 - 60, 2**62])
def test_a_stated_size_beyond_every_disk_ends_the_search(tmp_path, stated):
    content = rf64(10, guano(GUANO)).replace(struct.pack("<QQ", 0, 20), struct.pack("<QQ", 0, stated))
    assert header_texts(write(tmp_path / "a.wav", content)) == NO_TEXTS


def test_a_second_comment_does_not_replace_the_first_and_an_empty_one_is_replaced():
    both = wav(comment(" "), comment(AUDIOMOTH), comment("another"))
    assert texts_of(Bytes(both)).comment == AUDIOMOTH


def test_text_that_is_not_utf_8_is_latin_1():
    assert texts_of(Bytes(wav(chunk(b"guan", b"Note:Caf\xe9")))).guano == "Note:Café"


def test_a_hundred_thousand_chunks_cost_few_reads():
    file = Bytes(wav(*[chunk(b"junk", b"")] * 100_000, guano(GUANO)))
    assert texts_of(file) == NO_TEXTS
    assert file.n_reads < 300


def test_a_huge_text_is_read_in_part():
    file = Bytes(wav(guano(GUANO + "Note:" + "a" * 10_000_000)))
    assert texts_of(file).guano.startswith(GUANO)
    assert file.n_bytes < 70_000


def test_chunks_far_apart_cost_few_ranges_of_a_remote_file():
    far = struct.pack("<4sI", b"junk", 3 << 20) + bytes(3 << 20)
    content, n = wav(*[far] * 20), []
    place = Remote("a.wav", len(content), lambda start, stop: n.append(start) or content[start:stop])
    assert header_texts(place) == NO_TEXTS
    assert len(n) <= 20


def test_a_failed_read_is_the_machines_fault():
    def fetch(start: int, stop: int) -> bytes:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError), open_source(Remote("a.wav", 1000, fetch)) as source:
        texts_of(source)

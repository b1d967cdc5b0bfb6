"""The demo's recordings, listened to as numbers: level, band, noise floor, and how far apart the species are."""

from __future__ import annotations

import io
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
import soundfile

from orchestrator.demo import ogg
from orchestrator.demo.rows import KIND_OF_GENUS, N_RECORDISTS, planned
from orchestrator.demo.scene import Take, place, recorded
from orchestrator.demo.song import KINDS, RATE_HZ, Singer, Syllable, grammar, singer, song, voice
from orchestrator.demo.sound import Studio

CALM = Take(distance_m=4, wind_db=-140, neighbour_db=-20, insect_hz=None, drops_per_s=0, overdrive_db=0)


@pytest.fixture(scope="module")
def recordings() -> list[tuple[int, np.ndarray]]:
    """Two recordings of each of twelve species, decoded from their Ogg bytes: (species, samples)."""
    studio = Studio(2021)
    return [
        (each.species, soundfile.read(io.BytesIO(studio.recording(each)), dtype="float32")[0])
        for each in planned(2021, 12, 2)
    ]


def level_db(amplitude: float) -> float:
    return 20 * float(np.log10(amplitude))


def power(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in hertz, and the power at each."""
    return np.fft.rfftfreq(len(samples), 1 / RATE_HZ), np.abs(np.fft.rfft(samples)) ** 2


def strongest_hz(samples: np.ndarray) -> float:
    frequency_hz, there = power(samples)
    return float(frequency_hz[there.argmax()])


def loud_frames(samples: np.ndarray) -> np.ndarray:
    frames = samples[: len(samples) // 1024 * 1024].reshape(-1, 1024)
    return np.sqrt(np.mean(frames**2, axis=1))


# --- whole recordings ---------------------------------------------------------------------------------------------


def test_every_peak_lies_between_minus_40_and_minus_1_dbfs(recordings):
    peaks = [level_db(np.abs(samples).max()) for _, samples in recordings]
    assert min(peaks) > -40 and max(peaks) < -1


def test_the_noise_floor_is_there_and_well_below_the_song(recordings):
    floors = [level_db(np.percentile(loud_frames(samples), 5)) for _, samples in recordings]
    heights = [
        level_db(np.percentile(loud_frames(samples), 95)) - floor
        for (_, samples), floor in zip(recordings, floors, strict=True)
    ]
    assert min(floors) > -90 and max(floors) < -20
    assert median(heights) > 12


def test_nearly_all_the_energy_lies_in_the_band_the_preset_looks_at(recordings):
    shares = []
    for _, samples in recordings:
        frequency_hz, there = power(samples)
        shares.append(there[(frequency_hz > 500) & (frequency_hz < 12_500)].sum() / there.sum())
    assert median(shares) > 0.9
    assert min(shares) > 0.3


def test_the_two_recordings_nearest_in_mean_spectrum_are_often_of_one_species_and_not_always(recordings):
    """Chance would find 1 in 23; if every nearest neighbour were right there would be nothing to learn."""
    spectra = np.array([mean_spectrum(samples) for _, samples in recordings])
    species = np.array([bird for bird, _ in recordings])
    apart = np.linalg.norm(spectra[:, None] - spectra[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    right = float(np.mean(species[apart.argmin(axis=1)] == species))
    assert 0.15 < right < 0.9


def mean_spectrum(samples: np.ndarray) -> np.ndarray:
    """(48,) level by band of equal ratio between 500 and 12,500 Hz, of mean 0 and length 1."""
    frequency_hz, there = power(samples)
    bands = np.digitize(frequency_hz, np.geomspace(500, 12_500, 49))
    levels = np.log10(np.bincount(bands, there, minlength=50)[1:49] + 1e-9)
    levels -= levels.mean()
    return levels / np.linalg.norm(levels)


# --- the voice and the grammar ------------------------------------------------------------------------------------


def test_a_whistle_sounds_at_its_frequency_and_nowhere_else():
    samples = voice(Syllable(0.5, 3_000, 3_000))
    frequency_hz, there = power(samples)
    assert strongest_hz(samples) == pytest.approx(3_000, abs=4)
    assert there[np.abs(frequency_hz - 3_000) < 100].sum() > 0.999 * there.sum()


def test_a_sweep_begins_at_its_start_and_ends_at_its_end():
    samples = voice(Syllable(0.5, 2_000, 6_000))
    first_50_ms, last_50_ms = samples[:1_600], samples[-1_600:]
    assert strongest_hz(first_50_ms) == pytest.approx(2_000 * 3**0.05, rel=0.06)
    assert strongest_hz(last_50_ms) == pytest.approx(2_000 * 3**0.95, rel=0.06)


def test_a_trill_pulses_as_often_as_it_says():
    samples = voice(Syllable(1.0, 4_000, 4_000, am_rate_hz=10, am_depth=1.0))
    envelope = loud_frames(samples)
    assert int(np.sum((envelope[1:-1] > envelope[:-2]) & (envelope[1:-1] >= envelope[2:]))) == 10


def test_overtones_are_whole_multiples_and_none_folds_back():
    low = voice(Syllable(0.5, 1_500, 1_500, overtones=(0.5,)))
    frequency_hz, there = power(low)
    assert there[np.abs(frequency_hz - 3_000) < 50].sum() == pytest.approx(0.25 * there.sum() / 1.25, rel=0.02)
    high = voice(Syllable(0.5, 8_000, 8_000, overtones=(0.5, 0.5)))
    frequency_hz, there = power(high)
    assert there[np.abs(frequency_hz - 8_000) < 100].sum() > 0.999 * there.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_song_stays_within_full_scale_and_between_1_and_11_khz(kind):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        samples = song(grammar(kind, 4_000, rng), singer(rng), 6.0, rng)
        frequency_hz, there = power(samples)
        assert samples.shape == (6 * RATE_HZ,)
        assert 0.2 < np.abs(samples).max() <= 1
        assert there[(frequency_hz > 1_000) & (frequency_hz < 11_000)].sum() > 0.97 * there.sum(), (kind, seed)


def test_every_genus_has_a_kind_of_syllable_of_its_own():
    assert list(KIND_OF_GENUS.values()) == list(KINDS)


def test_a_bird_of_higher_pitch_sings_the_same_higher():
    rules = grammar("whistle", 3_000, np.random.default_rng(3))
    low, high = (strongest_hz(song(rules, Singer(pitch, 1.0), 6.0, np.random.default_rng(5))) for pitch in (1.0, 1.1))
    assert high / low == pytest.approx(1.1, rel=0.01)


# --- the scene ----------------------------------------------------------------------------------------------------


def heard(distance_m: float, hz: float) -> float:
    """Level of a tone in decibels after the air, at a place whose own noise is far below."""
    tone = voice(Syllable(1.0, hz, hz)) * np.float32(0.1)
    rng = np.random.default_rng(1)
    frequency_hz, there = power(recorded(tone, None, place(rng), replace(CALM, distance_m=distance_m), rng))
    return 10 * float(np.log10(there[np.abs(frequency_hz - hz) < 20].sum()))


def test_distance_takes_more_from_high_tones_than_from_low_ones():
    assert heard(4, 2_000) > heard(40, 2_000)
    lost_low, lost_high = (heard(4, hz) - heard(40, hz) for hz in (2_000, 9_000))
    assert lost_high - lost_low == pytest.approx(0.0016 * (81 - 4) * 36, abs=1.5)


@pytest.mark.parametrize(("overdrive_db", "is_flat"), [(0, False), (6, True)])
def test_only_an_overdriven_microphone_makes_flat_tops(overdrive_db, is_flat):
    rng = np.random.default_rng(1)
    tone = voice(Syllable(1.0, 3_000, 3_000))
    samples = recorded(tone, None, place(rng), replace(CALM, overdrive_db=overdrive_db), rng)
    assert (np.sum(np.abs(samples) == np.abs(samples).max()) > 1_000) == is_flat


def test_the_loudest_overdriven_recordings_decode_below_minus_1_dbfs():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        sung = song(grammar("harmonics", 4_000, rng), singer(rng), 6.0, rng)
        now = replace(CALM, overdrive_db=9)
        samples = recorded(sung, None, replace(place(rng), gain_db=0.0), now, rng)
        decoded = soundfile.read(io.BytesIO(ogg.encoded(samples, serial=1)))[0]
        assert level_db(np.abs(decoded).max()) < -1, seed


def test_a_bird_in_the_background_is_fainter_by_as_much_as_the_take_says():
    front, behind = (voice(Syllable(1.0, hz, hz)) for hz in (3_000, 3_100))
    rng = np.random.default_rng(1)
    frequency_hz, there = power(recorded(front, behind, place(rng), CALM, rng))
    near, far = (there[np.abs(frequency_hz - hz) < 20].sum() for hz in (3_000, 3_100))
    assert 10 * np.log10(far / near) == pytest.approx(-20, abs=1)


def test_a_place_colours_all_its_recordings_alike_and_another_place_otherwise():
    studio = Studio(2021)
    assert len(studio.places) == N_RECORDISTS
    assert len({(each.low_cut_hz, each.bump_hz) for each in studio.places}) == N_RECORDISTS


# --- the file -----------------------------------------------------------------------------------------------------


def test_an_encoded_song_is_the_same_bytes_every_time_and_decodes_to_the_song():
    samples = voice(Syllable(1.0, 3_000, 3_000)) * np.float32(0.5)
    first, again = ogg.encoded(samples, serial=5), ogg.encoded(samples, serial=5)
    assert first == again
    decoded, rate_hz = soundfile.read(io.BytesIO(first), dtype="float32")
    assert (rate_hz, len(decoded)) == (RATE_HZ, len(samples))
    assert np.sqrt(np.mean((decoded - samples) ** 2) / np.mean(samples**2)) < 0.1


def test_a_renumbered_stream_has_the_checksums_its_encoder_would_have_written():
    file = io.BytesIO()
    soundfile.write(file, voice(Syllable(1.0, 3_000, 3_000)), RATE_HZ, format="OGG", subtype="VORBIS")
    original = file.getvalue()
    assert ogg.renumbered(original, int.from_bytes(original[14:18], "little")) == original


@pytest.mark.parametrize("content", [b"RIFF" + bytes(40), b"OggS"])
def test_bytes_that_are_not_ogg_pages_are_refused(content):
    with pytest.raises(ValueError, match="no Ogg page at byte 0"):
        ogg.renumbered(content, 1)

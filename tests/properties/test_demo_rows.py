"""Whatever seed and size somebody asks for, the demo's plan keeps its promises."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.demo.ogg import checksum
from orchestrator.demo.rows import FARTHEST_M, MOST_SPECIES, NEAREST_M, planned

SEEDS = st.integers(0, 2**64)
N_SPECIES = st.integers(2, MOST_SPECIES)
N_EACH = st.integers(1, 20)


@given(SEEDS, N_SPECIES, N_EACH)
@settings(deadline=None)
def test_every_species_has_its_recordings_and_every_recording_a_name_of_its_own(seed, n_species, n_each):
    recordings = planned(seed, n_species, n_each)
    assert len({each.row.filename for each in recordings}) == len(recordings)
    per_label = Counter(each.row.primary_label for each in recordings)
    assert len(per_label) == n_species
    assert set(per_label.values()) == {n_each}


@given(SEEDS, N_SPECIES, N_EACH)
@settings(deadline=None)
def test_every_recording_lasts_6_to_12_seconds_and_is_made_within_earshot(seed, n_species, n_each):
    for each in planned(seed, n_species, n_each):
        assert 6 <= each.duration_s <= 12
        assert NEAREST_M <= each.distance_m <= FARTHEST_M
        assert 1 <= float(each.row.rating) <= 5
        assert each.row.filename.startswith(each.row.primary_label + "/")


@given(SEEDS, N_SPECIES)
@settings(deadline=None)
def test_more_recordings_than_recordists_are_shared_by_all_but_one_of_them(seed, n_species):
    pairs = Counter((each.species, each.recordist) for each in planned(seed, n_species, 11))
    assert set(pairs.values()) == {1}


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_page_with_one_bit_flipped_has_another_checksum(page, data):
    flipped = bytearray(page)
    flipped[data.draw(st.integers(0, len(page) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert checksum(flipped) != checksum(page)


@given(st.binary(max_size=200))
def test_the_checksum_is_the_long_division_of_rfc_3533(page):
    remainder = 0
    for byte in page:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x104C11DB7 if remainder & 0x80000000 else 0)
    assert checksum(page) == remainder

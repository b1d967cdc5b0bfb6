"""The recordings of the demo: species, recordists, metadata and names, drawn from the seed alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from domain.errors import Impossible

KIND_OF_GENUS = {
    "Fistulo": "whistle",
    "Tremolo": "trill",
    "Glissando": "sweep",
    "Vibrato": "warble",
    "Ronzando": "buzz",
    "Chordando": "harmonics",
}
ORDINALS = {
    "primus": "First",
    "secundus": "Second",
    "tertius": "Third",
    "quartus": "Fourth",
    "quintus": "Fifth",
    "sextus": "Sixth",
    "septimus": "Seventh",
    "octavus": "Eighth",
    "nonus": "Ninth",
    "decimus": "Tenth",
}
FEWEST_SPECIES, MOST_SPECIES = 2, len(KIND_OF_GENUS) * len(ORDINALS)
N_RECORDISTS = 12
NEAREST_M, FARTHEST_M = 4.0, 60.0


@dataclass(frozen=True)
class DemoRow:
    """A line of train_metadata.csv in BirdCLEF's columns; filename is relative to train_audio."""

    primary_label: str
    secondary_labels: str
    latitude: str
    longitude: str
    scientific_name: str
    common_name: str
    author: str
    date: str
    filename: str
    license: str
    rating: str
    time: str
    url: str


@dataclass(frozen=True)
class Planned:
    """A good recording to be made; species, recordist and neighbour (the bird behind, or None) are numbers."""

    row: DemoRow
    number: int
    species: int
    recordist: int
    neighbour: int | None
    duration_s: float
    distance_m: float


def planned(seed: int, species: int, per_species: int) -> tuple[Planned, ...]:
    """The good recordings in the order of the csv.

    Each species is recorded by all recordists except one, if it has enough recordings, so that any two recordists
    together have every species. Some recordists have more recordings than others.

    Raises:
        Impossible: fewer than 2 or more than MOST_SPECIES species, no recordings, or a seed below 0.
    """
    if not FEWEST_SPECIES <= species <= MOST_SPECIES:
        raise Impossible(f"{species} species cannot be invented; ask for {FEWEST_SPECIES} to {MOST_SPECIES}")
    if seed < 0:
        raise Impossible(f"seed {seed} is negative; ask for 0 or more")
    if per_species < 1:
        raise Impossible(f"{per_species} recordings per species are too few; ask for 1 or more")
    draw = Random(f"rows {seed}")  # noqa: S311  # reproducible, not secret
    zeal = [draw.uniform(0.5, 3.0) for _ in range(N_RECORDISTS)]
    rows: list[Planned] = []
    for bird in range(species):
        for recordist in _recordists(bird, per_species, zeal, draw):
            rows.append(_one(len(rows), bird, recordist, species, draw))
    return tuple(rows)


def _recordists(bird: int, wanted: int, zeal: list[float], draw: Random) -> list[int]:
    present = [number for number in range(N_RECORDISTS) if number != bird % N_RECORDISTS]
    once = draw.sample(present, k=min(wanted, len(present)))
    again = draw.choices(present, weights=[zeal[number] for number in present], k=wanted - len(once))
    return sorted(once + again)


def _one(number: int, bird: int, recordist: int, n_species: int, draw: Random) -> Planned:
    others = [other for other in range(n_species) if other != bird]
    neighbour = draw.choice(others) if draw.random() < 0.3 else None
    distance_m = NEAREST_M * (FARTHEST_M / NEAREST_M) ** draw.random()
    row = replace(
        row_of(bird, f"DC{100_000 + number}", recordist),
        secondary_labels="[]" if neighbour is None else f"['{label(neighbour)}']",
        date=f"2021-{draw.randint(3, 7):02d}-{draw.randint(1, 28):02d}",
        time=f"{draw.randint(4, 10):02d}:{draw.randrange(60):02d}",
        rating=f"{5 - 4 * (distance_m - NEAREST_M) / (FARTHEST_M - NEAREST_M):.1f}",
    )
    duration_s = draw.randint(120, 180) / 20 if draw.random() < 0.9 else draw.randint(181, 240) / 20
    return Planned(row, number, bird, recordist, neighbour, duration_s, distance_m)


def row_of(bird: int, name: str, recordist: int) -> DemoRow:
    """A line for a recording of a species, `name` without folder and ending; the place is open sea off Africa."""
    genus, ordinal = _names(bird)
    return DemoRow(
        primary_label=label(bird),
        secondary_labels="[]",
        latitude=f"{-1 + 0.17 * recordist:.2f}",
        longitude=f"{1 - 0.13 * recordist:.2f}",
        scientific_name=f"{genus} {ordinal}",
        common_name=f"{ORDINALS[ordinal]} {genus} (invented)",
        author=f"Recordist {recordist + 1}",
        date="2021-05-02",
        filename=f"{label(bird)}/{name}.ogg",
        license="CC0-1.0",
        rating="0.0",
        time="05:00",
        url=f"urn:dawn-chorus:demo:{name}",
    )


def label(bird: int) -> str:
    """The class name of a species.

    >>> label(0), label(7)
    ('Fistulo_primus', 'Tremolo_secundus')
    """
    return "_".join(_names(bird))


def kind(bird: int) -> str:
    """The most frequent kind of syllable in a species' song."""
    return KIND_OF_GENUS[_names(bird)[0]]


def _names(bird: int) -> tuple[str, str]:
    return list(KIND_OF_GENUS)[bird % len(KIND_OF_GENUS)], list(ORDINALS)[bird // len(KIND_OF_GENUS)]

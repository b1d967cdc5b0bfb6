"""What a person typed -> values of a request, or one sentence why not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from domain.errors import UsageError
from domain.states import Stage
from orchestrator.planning.graph import Candidate
from orchestrator.planning.plan import Request
from settings import Settings, bucket_url
from tasks.audio.preset import Preset, load_preset
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import Layout, open_layout
from tasks.dataset.manifest import Summary
from tasks.model.inputs import FEATURE_SETS
from tasks.model.variants import (
    FACTORS,
    GAN,
    WITH_SYNTHETIC,
    VariantError,
    changed_preset,
    require_same_pictures,
    variant,
)
from tasks.model.zoo import MODELS, entry

DEVICES = ("auto", "cpu", "gpu")
_HIGHEST_SEED = 2**31 - 1
"""What the ledger's column holds."""


def model_names(text: str) -> tuple[str, ...]:
    """The models, each once. Raises UsageError when there is none, UnknownModel for one that does not exist.

    >>> model_names("cnn, cnn")
    ('cnn',)
    """
    names = tuple(MODELS) if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"--models {text!r} names no model; there are {', '.join(MODELS)}")
    return tuple(dict.fromkeys(entry(name).name for name in names))


def seed_numbers(first: int, n: int) -> tuple[int, ...]:
    """So many seeds from the first one on. Raises UsageError where the last is more than the ledger can hold.

    >>> seed_numbers(7, 3)
    (7, 8, 9)
    """
    if first + n - 1 > _HIGHEST_SEED:
        raise UsageError(f"--seed {first} and --seeds {n} go beyond {_HIGHEST_SEED}, the highest seed; begin lower")
    return tuple(range(first, first + n))


def last_stage(text: str) -> str:
    """The stage. Raises UsageError for one that does not exist."""
    if text not in list(Stage):
        raise UsageError(f"--until {text!r} is not one of {', '.join(Stage)}")
    return text


def device_name(text: str) -> str:
    """The device. Raises UsageError for one that does not exist."""
    if text not in DEVICES:
        raise UsageError(f"--device {text!r} is not one of {', '.join(DEVICES)}")
    return text


def ablated(request: Request, text: str | None) -> Request:
    """The request with the factors of `--ablate`; `all` are those that at least one of its models can be trained by.

    Raises UsageError for no factor, one that does not exist, none that suits any of the models, and a run that ends
    before anything is judged.
    """
    if text is None:
        return request
    names = tuple(FACTORS) if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in FACTORS]
    if unknown or not names:
        raise UsageError(f"--ablate {text!r} is not all, or some of {', '.join(FACTORS)}")
    if request.until != Stage.ALL:
        raise UsageError(
            f"--ablate compares scores, and --until {request.until} ends before any; leave one of them out"
        )
    if text == "all":
        names = tuple(factor for factor in names if _variants(request, _Presets(), factor)[0])
    if not names:
        raise UsageError(
            f"--ablate all: nothing can be taken from or given to {', '.join(request.models)}; name another"
        )
    return replace(request, ablate=tuple(dict.fromkeys(names)))


def feature_set(text: str) -> str:
    """The set of features. Raises UsageError for one that does not exist."""
    if text not in FEATURE_SETS:
        raise UsageError(f"--features {text!r} is not one of {', '.join(FEATURE_SETS)}")
    return text


def dataset_at(text: str, settings: Settings) -> Path | Bucket:
    """The folder, csv or bucket that was typed. Raises UsageError for none, and for a URL of another kind."""
    if not text.strip():
        raise UsageError("the dataset's path is empty; give a folder, a csv, or s3://BUCKET/PREFIX")
    if "://" not in text:
        return Path(text)
    if not text.startswith("s3://"):
        raise UsageError(f"{text.partition('://')[0]}:// is no place of a dataset; give a path, or s3://BUCKET/PREFIX")
    from tasks.runtime.sources import bucket  # noqa: PLC0415  # only who has a bucket pays for it

    try:
        return bucket(bucket_url(text), plain_http=settings.is_endpoint_here)
    except ValueError as error:
        raise UsageError(str(error)) from error


def opened_layout(path: Path | Bucket, request: Request) -> Layout:
    """The dataset's layout. Raises LayoutError; UsageError where nothing in it can give the features asked for."""
    layout = open_layout(path, is_trusted=request.trust_csv)
    if request.features == "audio":
        return layout
    if not any("features" in entry(model).inputs for model in request.models):
        readers = [name for name, one in MODELS.items() if "features" in one.inputs]
        raise UsageError(
            f"--features {request.features}: {', '.join(request.models)} read no features; "
            f"add one of {', '.join(readers)}"
        )
    if not layout.has_metadata:
        raise UsageError(
            f"--features {request.features}: {path} has no column that says where or when (latitude and longitude, "
            "date, month, time, hour); leave --features away"
        )
    return layout


def require_known(request: Request, summary: Summary) -> None:
    """Raises UsageError where the features asked for are known of no recording."""
    if request.features != "audio" and not summary.known:
        raise UsageError(
            f"--features {request.features}: no place, month or hour is known of any of the "
            f"{summary.n_recordings:,} recordings; leave --features away"
        )


@dataclass(frozen=True)
class Wanted:
    """The presets of a run, each once, and what is trained on them: models as they are before their variants.

    notes: what was asked for and is not done, in sentences.
    """

    presets: tuple[Preset, ...]
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


def wanted(request: Request) -> Wanted:
    """Every model with the preset asked for, or its own, and once more for each factor that is ablated.

    Raises PresetError; VariantError where no model at all can be trained without, or with, a factor; UsageError where
    the pictures of a preset are too small for a model that is to be trained on them.
    """
    presets, notes = _Presets(), []
    candidates = _own(request, presets)
    if "synthetic" in request.ablate and GAN not in request.models:
        candidates.append(Candidate(GAN, presets.place(_preset(request, GAN)), is_judged=False))
    for factor in request.ablate:
        changed, refused = _variants(request, presets, factor)
        if not changed:
            raise VariantError(
                " ".join(refused) or f"no classifier is asked for to ablate {factor}; name one in --models"
            )
        candidates += changed
        notes += refused
    found = Wanted(tuple(presets.found.values()), tuple(dict.fromkeys(candidates)), tuple(notes))
    if request.until not in (Stage.PREPROCESS, Stage.PACK):
        _require_large_pictures(found)
    return found


def _require_large_pictures(wanted: Wanted) -> None:
    for model, preset in ((entry(each.model), wanted.presets[each.preset]) for each in wanted.candidates):
        if min(preset.mel.n_mels, preset.n_frames) < model.smallest:
            raise UsageError(
                f"{model.name} needs pictures of {model.smallest} bands and frames at least, and the preset "
                f"{preset.name} makes {preset.mel.n_mels} by {preset.n_frames}; raise mel.n_mels or lower "
                "mel.hop_samples, or name another model"
            )


def _own(request: Request, presets: _Presets) -> list[Candidate]:
    """Every model as it is; for a generator also its judge, as it is and with what the generator leaves."""
    judges = [judge for judge in (entry(model).judge for model in request.models) if judge]
    names = dict.fromkeys([*request.models, *judges])
    places = {name: presets.place(_preset(request, name)) for name in names}
    own = [Candidate(name, places[name], judge=entry(name).judge) for name in names]
    generators = [each for each in own if each.judge]
    return own + [Candidate(str(each.judge), each.preset, WITH_SYNTHETIC, each.model) for each in generators]


class _Presets:
    """Presets, each once, in the order in which they were first asked for."""

    def __init__(self) -> None:
        self.found: dict[str, Preset] = {}

    def place(self, preset: Preset) -> int:
        self.found.setdefault(preset.digest, preset)
        return list(self.found).index(preset.digest)


def _preset(request: Request, model: str) -> Preset:
    return load_preset(request.preset or entry(model).preset)


def _variants(request: Request, presets: _Presets, factor: str) -> tuple[list[Candidate], list[str]]:
    """Each model under that one change; and a sentence for each that cannot be changed so."""
    changed, refused = [], []
    for model in (name for name in request.models if name != GAN):
        preset = _preset(request, model)
        try:
            if factor == "synthetic":
                require_same_pictures(model, preset, _preset(request, GAN))
            name = variant(entry(model), preset, factor)
        except VariantError as error:
            refused.append(f"{error}.")
            continue
        place = presets.place(changed_preset(entry(model), preset, name))
        changed.append(Candidate(model, place, name, GAN if factor == "synthetic" else None))
    return changed, refused

"""What a person asks for, as values, or one sentence why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from domain.errors import UsageError
from orchestrator.planning.candidates import ablated, selection
from orchestrator.planning.request import Request, model_names, seed_numbers
from tasks.model.variants import VariantError


def planned(request: Request) -> list[tuple[str, str | None, str]]:
    """Model, variant and the name of the preset of everything that is trained."""
    found = selection(request)
    return [(each.model, each.variant, found.presets[each.preset].name) for each in found.candidates]


def test_a_model_is_trained_once_more_for_each_factor_on_a_preset_that_only_differs_in_it() -> None:
    assert planned(Request(("cnn", "mlp"), ablate=("denoising", "augmentation"))) == [
        ("cnn", None, "birdclef2021"),
        ("mlp", None, "birdclef2021"),
        ("cnn", "without denoising", "birdclef2021-without-denoising"),
        ("mlp", "without denoising", "birdclef2021-without-denoising"),
        ("cnn", "with augmentation", "birdclef2021"),
        ("mlp", "with augmentation", "birdclef2021-with-augmentation"),
    ]


def test_seeds_beyond_what_the_ledger_holds_are_refused() -> None:
    assert seed_numbers(2**31 - 2, 2) == (2**31 - 2, 2**31 - 1)
    with pytest.raises(UsageError, match=r"--seed 2147483646 and --seeds 3 go beyond 2147483647"):
        seed_numbers(2**31 - 2, 3)


def test_nothing_ablated_nothing_added() -> None:
    assert planned(Request(("cnn", "deep_cnn"))) == [("cnn", None, "birdclef2021"), ("deep_cnn", None, "broadband")]


def test_synthetic_examples_bring_the_gan_with_them_which_is_not_judged() -> None:
    found = selection(Request(ablate=("synthetic",)))
    gan, fed = (
        next(each for each in found.candidates if each.model == name and each != found.candidates[0])
        for name in ("gan", "cnn")
    )
    assert (gan.variant, gan.is_evaluated) == (None, False)
    assert (fed.variant, fed.generator, fed.preset) == ("with synthetic examples", "gan", gan.preset)
    assert found.candidates.index(gan) < found.candidates.index(fed)


def test_a_model_that_a_factor_does_not_suit_is_left_out_with_a_sentence() -> None:
    found = selection(Request(("cnn", "mlp", "deep_cnn"), ablate=("synthetic",)))
    assert [each.model for each in found.candidates if each.variant] == ["cnn"]
    assert [note.split()[0] for note in found.notes] == ["mlp", "deep_cnn"]


@pytest.mark.parametrize(("models", "until", "is_refused"), [
    ("cnn", "all", True), ("cnn,mlp", "train", True), ("mlp,lstm", "all", False), ("cnn", "pack", False),
])  # fmt: skip
def test_pictures_too_small_for_a_model_are_refused_before_anything_is_done(
    models: str, until: str, is_refused: bool, tmp_path: Path
) -> None:
    preset = tmp_path / "low.toml"
    preset.write_text('like = "birdclef2021"\n[mel]\nn_mels = 40\n')
    request = Request(model_names(models), until=until, preset=str(preset))
    if not is_refused:
        assert selection(request).presets[0].mel.n_mels == 40
        return
    with pytest.raises(UsageError, match="cnn needs spectrograms of at least 46 bands and frames, but the preset low"):
        selection(request)


def test_a_factor_that_suits_no_model_is_refused() -> None:
    with pytest.raises(VariantError, match="mlp reads features"):
        selection(Request(("mlp",), ablate=("synthetic",)))


@pytest.mark.parametrize(
    ("models", "factors"),
    [(("cnn",), ("denoising", "augmentation", "synthetic")), (("mlp", "cnn_mlp"), ("denoising", "augmentation"))],
)
def test_all_are_those_that_suit_at_least_one_model(models: tuple[str, ...], factors: tuple[str, ...]) -> None:
    assert ablated(Request(models), "all").ablate == factors


def test_factors_are_taken_once_and_in_the_order_given() -> None:
    assert ablated(Request(), " augmentation,denoising, augmentation").ablate == ("augmentation", "denoising")
    assert ablated(Request(), None) == Request()


@pytest.mark.parametrize(
    ("text", "until", "said"),
    [
        ("loudness", "all", "'loudness' is not all, or some of denoising, augmentation, synthetic"),
        ("denoising,all", "all", "is not all, or some of"),
        (" , ", "all", "is not all, or some of"),
        ("denoising", "train", "--until train ends before any"),
    ],
)
def test_what_cannot_be_ablated_is_refused_in_a_sentence(text: str, until: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ablated(replace(Request(), until=until), text)


def test_all_of_nothing_is_refused_instead_of_left_out_silently() -> None:
    with pytest.raises(UsageError, match="nothing can be taken from or given to gan"):
        ablated(Request(("gan",)), "all")

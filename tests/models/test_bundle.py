"""Bundles: what they hold, and what is refused."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO

import h5py
import keras
import numpy as np
import pytest

from domain.errors import Damaged
from tasks.model.bundle import archive
from tasks.model.bundle.bundle import BundleError, BundleFacts, read_bundle, write_bundle
from tasks.model.bundle.capacity import require_fitting
from tasks.model.bundle.libraries import library_versions
from tasks.model.inputs import InputShapes, Scaling
from tasks.model.spec import TrainingSettings
from tasks.model.zoo import MODELS, entry
from tests.memory import peak_memory

FACTS = BundleFacts(
    model="cnn",
    labels=("Sayornis nigricans", "Grüner Zilpzalp"),
    preset={"rate_hz": 32_000, "mel": {"n_mels": 48, "low_hz": 500.0}},
    pipeline_digest="a" * 64,
    scaling=Scaling(feature_means=(1.5, -2.0), feature_deviations=(0.1, 3.0)),
    settings=TrainingSettings(seed=7),
    split_digest="c" * 64,
    fold=2,
    best_epoch=9,
    versions=library_versions(),
)


def network(seed=1):
    keras.utils.set_random_seed(seed)
    return entry("cnn").build(InputShapes(), 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "whole.keras"
    write_bundle(path, network(), FACTS)
    return path.read_bytes()


@pytest.fixture
def reading(tmp_path):
    def read(content):
        path = tmp_path / "some.keras"
        path.write_bytes(content)
        return read_bundle(path)

    return read


def changed(content, name, to):
    with zipfile.ZipFile(BytesIO(content)) as members:
        return archive.pack({**{member: members.read(member) for member in members.namelist()}, name: to})


def test_a_written_bundle_can_be_read(reading, whole):
    bundle = reading(whole)
    assert bundle.facts == FACTS
    assert bundle.inputs == ("spectrogram",)
    for read, written in zip(bundle.model.get_weights(), network().get_weights(), strict=True):
        np.testing.assert_array_equal(read, written)


def test_plain_keras_opens_it_and_predicts_the_same(tmp_path, whole):
    path = tmp_path / "model.keras"
    path.write_bytes(whole)
    noise = np.random.default_rng(3).random((4, 48, 128, 1), np.float32)
    plain = keras.saving.load_model(path)
    np.testing.assert_array_equal(plain.predict_on_batch(noise), network().predict_on_batch(noise))


def test_the_same_network_gives_the_same_bytes_also_after_it_was_read(tmp_path, reading, whole):
    again = tmp_path / "again.keras"
    write_bundle(again, network(), FACTS)
    assert again.read_bytes() == whole
    bundle = reading(whole)
    write_bundle(again, bundle.model, bundle.facts)
    assert again.read_bytes() == whole


def test_a_bundle_holds_no_time_and_no_memory_address(whole):
    with zipfile.ZipFile(BytesIO(whole)) as members:
        assert {info.date_time for info in members.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(members.read("metadata.json"))["date_saved"].startswith("1980")
        assert b"shared_object_id" not in members.read("config.json")


def test_a_bundle_holds_no_optimizer(tmp_path, whole):
    compiled = network()
    compiled.compile("adam", "categorical_crossentropy")
    compiled.train_on_batch(np.zeros((1, 48, 128, 1), np.float32), np.eye(2, dtype=np.float32)[:1])
    write_bundle(tmp_path / "compiled.keras", compiled, FACTS)
    assert len((tmp_path / "compiled.keras").read_bytes()) == len(whole)


def test_another_seed_gives_another_bundle(tmp_path, whole):
    write_bundle(tmp_path / "other.keras", network(seed=2), FACTS)
    assert (tmp_path / "other.keras").read_bytes() != whole


@pytest.mark.parametrize("kept", [0, 10, 1000, 0.5, 0.99])
def test_a_truncated_bundle_is_refused(reading, whole, kept):
    end = int(len(whole) * kept) if isinstance(kept, float) else kept
    with pytest.raises(BundleError, match="not a complete bundle"):
        reading(whole[:end])


def test_a_flipped_bit_in_the_weights_is_detected(reading, whole):
    damaged = bytearray(whole)
    damaged[-len(whole) // 3] ^= 1
    with pytest.raises(BundleError, match="not a complete bundle"):
        reading(bytes(damaged))


def test_a_plain_keras_file_is_refused_with_the_name_of_the_missing_member(tmp_path):
    network().save(tmp_path / "plain.keras")
    with pytest.raises(BundleError, match=r"dawn_chorus\.json"):
        read_bundle(tmp_path / "plain.keras")


def test_the_error_contains_the_name_of_the_file(reading, whole):
    with pytest.raises(BundleError, match=r"some\.keras: not a complete bundle"):
        reading(whole[:1000])
    impossible = json.loads(zipfile.ZipFile(BytesIO(whole)).read(archive.FACTS))
    impossible["settings"]["epochs"] = 0
    with pytest.raises(BundleError, match=r"some\.keras: the bundle's facts cannot be parsed: .*epochs is 0"):
        reading(changed(whole, archive.FACTS, json.dumps(impossible).encode()))


def test_an_extra_member_is_refused(reading, whole):
    with pytest.raises(BundleError, match="holds"):
        reading(changed(whole, "assets/run_me.py", b"print('hello')"))


def test_a_zip_bomb_is_refused_before_it_is_expanded(reading, whole):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in archive.MEMBERS:
            bomb.writestr(name, bytes(20_000_000))
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(BundleError, match="is compressed"):
        reading(buffer.getvalue())


def test_a_bundle_of_another_schema_is_refused_with_both_names(reading, whole):
    with pytest.raises(BundleError, match=r"bundle 99.*bundle 1"):
        reading(changed(whole, archive.FACTS, b'{"schema": "dawn-chorus bundle 99"}'))


@pytest.mark.parametrize("facts", [b"", b"[]", b"{}", b"\xff", b'{"schema": "dawn-chorus bundle 1"}'])
def test_facts_that_cannot_be_parsed_are_refused(reading, whole, facts):
    with pytest.raises(BundleError, match="cannot be parsed"):
        reading(changed(whole, archive.FACTS, facts))


def test_the_number_of_labels_must_equal_the_number_of_outputs(tmp_path):
    write_bundle(tmp_path / "b.keras", network(), replace(FACTS, labels=("a", "b", "c")))
    with pytest.raises(BundleError, match="has 2 classes, but the bundle names 3"):
        read_bundle(tmp_path / "b.keras")


def test_code_in_a_network_is_never_run(tmp_path, reading, whole):
    spectrogram = keras.Input((48, 128, 1), name="spectrogram")
    flat = keras.layers.Flatten()(keras.layers.Lambda(lambda x: x * 2)(spectrogram))
    keras.Model(spectrogram, keras.layers.Dense(2)(flat)).save(tmp_path / "lambda.keras")
    with zipfile.ZipFile(tmp_path / "lambda.keras") as members:
        hostile = changed(whole, archive.CONFIG, members.read(archive.CONFIG))
    with pytest.raises(BundleError, match=r"Keras cannot open.*Lambda"):
        reading(hostile)


def test_a_bundle_error_is_damage_to_a_file_and_not_an_impossible_request() -> None:
    assert issubclass(BundleError, Damaged)


def test_a_missing_bundle_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_bundle(tmp_path / "gone.keras")


def test_deeply_nested_json_is_refused(reading, whole):
    for name in (archive.FACTS, archive.CONFIG):
        with pytest.raises(BundleError):
            reading(changed(whole, name, b"[" * 100_000))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"null", "Keras cannot open"),
        (b"{}", "describes a dict, not a network"),
        (
            b'{"class_name": "Dense", "config": {"units": 2}, "module": "keras.layers", "registered_name": null}',
            "Dense",
        ),
        (
            b'{"class_name": "Functional", "config": {"layers": [[]]}, "module": "keras", "registered_name": null}',
            "Keras",
        ),
    ],
)
def test_a_config_that_describes_no_network_is_refused(reading, whole, config, message):
    with pytest.raises(BundleError, match=message):
        reading(changed(whole, archive.CONFIG, config))


def test_a_short_config_cannot_allocate_all_memory(reading, whole):
    spectrogram = keras.Input((48, 128, 1), name="spectrogram")
    small = keras.Model(spectrogram, keras.layers.Dense(77)(keras.layers.Flatten()(spectrogram)))
    hostile = small.to_json().replace("77", str(10**9)).encode()
    with peak_memory() as peak, pytest.raises(BundleError, match=r"needs 24,580,000,000,000 bytes of weights"):
        reading(changed(whole, archive.CONFIG, hostile))
    assert peak.size_bytes < 200 << 20


def test_weights_that_claim_more_than_they_store_are_refused(reading, whole):
    two = keras.Input((2,))
    tiny = keras.Model(two, keras.layers.Dense(2)(two)).to_json().encode()
    held = BytesIO()
    with h5py.File(held, "w") as file:
        file.create_dataset("layers/dense/vars/0", shape=(10**6, 10**3), dtype="float32", chunks=(10**3, 10**3))
    with peak_memory() as peak, pytest.raises(BundleError, match=r"claim 4,000,000,000 bytes"):
        reading(changed(changed(whole, archive.CONFIG, tiny), archive.WEIGHTS, held.getvalue()))
    assert peak.size_bytes < 200 << 20


def test_a_file_too_large_for_a_bundle_is_not_read(tmp_path):
    with (tmp_path / "huge.keras").open("wb") as file:
        file.truncate(archive.MAX_SIZE_BYTES + 1)  # a hole, which takes no room on the disk
    with peak_memory() as peak, pytest.raises(BundleError, match="too large for a bundle"):
        read_bundle(tmp_path / "huge.keras")
    assert peak.size_bytes < 10 << 20


@pytest.mark.parametrize("name", MODELS)
def test_every_network_fits_its_weights_file(tmp_path, name):
    model = entry(name)
    network = model.build(InputShapes(), 3)
    network.save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as members:
        config, weights = members.read(archive.CONFIG), members.read(archive.WEIGHTS)
    require_fitting(config, weights)
    with pytest.raises(BundleError, match="bytes of weights"):
        require_fitting(config, weights[: sum(value.nbytes for value in network.get_weights()) - 1])

"""Networks as files: `export` writes them, and `predict --model` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from db.store.interface import Store
from domain.digests import content_digest
from domain.errors import UsageError
from orchestrator.planning.model_choice import ChosenModel, choice_of_mean, is_reference, require_predictable
from tasks.model.network import NetworkFacts, read_facts, require_network_size
from tasks.model.onnx_contents import OnnxError
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline, for_prediction, network_content

SUFFIX = ".onnx"


@dataclass(frozen=True)
class ModelOfFiles:
    """A model whose networks were read from files. contents: bytes of the networks by their keys in the store."""

    model: ChosenModel
    contents: Mapping[str, bytes]

    def put_into(self, store: Store) -> None:
        """Write the networks into the store, where workers find them."""
        for key, content in self.contents.items():
            store.put(key, content)


def names_a_file(text: str) -> bool:
    """Whether the text of `--model` is a file or folder of networks rather than a run."""
    return not is_reference(text) and (text.endswith(SUFFIX) or "/" in text or Path(text).is_dir())


def model_of_files(text: str) -> ModelOfFiles:
    """Return the model in an exported network, or in a folder of them, whose mean counts.

    The networks are read as data; a worker opens them.
    Raises: UsageError if there is no network, one cannot be used, or they are of different classes or presets; OSError.
    """
    path = Path(text).resolve()
    paths = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not paths:
        raise UsageError(f"--model {text}: the folder holds no {SUFFIX} file; `orchestrator export RUN` writes them")
    found = {each.name: _read(each) for each in paths}
    (first_name, (first, _)), *others = found.items()
    for name, (facts, _) in others:
        if (facts.labels, facts.pipeline_digest) != (first.labels, first.pipeline_digest):
            what = "classes" if facts.labels != first.labels else "preset"
            raise UsageError(
                f"--model {text}: {name} and {first_name} differ in their {what}; predict with one of them"
            )
    for name, (facts, _) in found.items():
        preset = require_predictable(name, facts.preset, facts.pipeline_digest, facts.scaling.features)
    contents = {f"networks/{content_digest(content)[:32]}{SUFFIX}": content for _, content in found.values()}
    networks = tuple(NetworkFile(key, content_digest(content)) for key, content in contents.items())
    choice = f"{first.model}, from {path.name}" + choice_of_mean(len(networks))
    pipeline = PredictionPipeline(for_prediction(preset), networks)
    return ModelOfFiles(ChosenModel(path.name, choice, first.labels, pipeline), contents)


def _read(path: Path) -> tuple[NetworkFacts, bytes]:
    try:
        require_network_size(path.stat().st_size)
        content = path.read_bytes()
        return read_facts(content), content
    except FileNotFoundError as error:
        raise UsageError(f"--model {path}: there is no such file") from error
    except OnnxError as error:
        raise UsageError(f"--model {path}: {error}") from error


def export_networks(store: Store, model: ChosenModel, folder: Path) -> list[Path]:
    """Write the networks of a model into a folder, which is made; return their paths. Equal files are kept.

    Raises: UsageError if a file of that name holds something else; MachineFault if the store does not hold a network;
    Damaged if one is not what was written; OSError.
    """
    networks = model.pipeline.networks
    base = model.name.replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, network in enumerate(networks, 1):
        # Padded: the networks of a folder predict in the order of their names.
        own = f"-{number:0{len(str(len(networks)))}}" if len(networks) > 1 else ""
        path = folder / f"{base}{own}{SUFFIX}"
        content = network_content(store.get, network)
        if path.exists() and path.read_bytes() != content:
            raise UsageError(f"{path} holds another network; give another folder with --out")
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_bytes(content)
        unfinished.replace(path)
        written.append(path)
    return written

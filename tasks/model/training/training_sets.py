"""The training and validation subsets of a training, and their checks."""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import Impossible
from domain.plural import counted
from tasks.model.spec import TrainingSpec, batch_for, epochs_for
from tasks.model.training.stream import ShardSet, read_shard_set
from tasks.model.zoo import entry


@dataclass(frozen=True)
class TrainingSets:
    """The examples for training and those for early stopping."""

    train: ShardSet
    valid: ShardSet

    def notes(self, spec: TrainingSpec) -> tuple[str, ...]:
        """Return sentences for readers of the results."""
        missing = [name for label, name in enumerate(spec.labels) if label not in self.train.label_counts]
        requested, batch = spec.settings.batch, batch_for(self.train.n_examples, spec.settings.batch)
        notes, n = [], self.train.n_examples
        if batch < requested:
            notes.append(f"batches of {batch} instead of {requested}: there are only {n} training examples")
        epochs = epochs_for(self.train.n_examples, spec.settings)
        if epochs < spec.settings.epochs:
            notes.append(f"{epochs} epochs instead of {spec.settings.epochs}: there are {n} training examples")
        if not self.valid.n_examples:
            notes.append("no validation examples: training ran for the fixed number of epochs and kept the last")
        if missing:
            notes.append(f"no training examples of {', '.join(missing)}: the network cannot recognise them")
        return tuple(notes)


def read_training_sets(spec: TrainingSpec) -> TrainingSets:
    """Read the footers of the shards and check that they can be trained on.

    Raises: Impossible if the shards come from several pipelines, a label has no name, fewer than two classes have
    training examples, or synthetic examples are not allowed where they occur; Damaged if a file is not what was
    written.
    """
    sets = TrainingSets(
        *(read_shard_set(paths, spec.settings.features) for paths in (spec.train_shards, spec.valid_shards))
    )
    _require_real(spec, sets)
    pipelines = sets.train.pipeline_digests | sets.valid.pipeline_digests
    if len(pipelines) > 1:
        raise Impossible(
            f"the shards come from the pipelines {', '.join(sorted(pipelines))}; train on shards of one pipeline"
        )
    highest = max([*sets.train.label_counts, *sets.valid.label_counts], default=-1)
    if highest >= len(spec.labels):
        raise Impossible(f"a shard holds label number {highest}, but the run names only {len(spec.labels)} labels")
    present = [spec.labels[label] for label in sets.train.label_counts]
    if len(present) < 2:
        n_classes, names = counted(len(present), "class", "classes"), ", ".join(present) or "none"
        raise Impossible(f"training examples exist for {n_classes} ({names}); a classifier needs two or more")
    return sets


def _require_real(spec: TrainingSpec, sets: TrainingSets) -> None:
    """Check that synthetic examples are used only for training classifiers that read spectrograms alone."""
    if sets.valid.n_synthetic:
        raise Impossible(
            f"the validation subset holds {sets.valid.n_synthetic} synthetic examples; validate on real examples only"
        )
    if sets.train.n_synthetic and "features" in entry(spec.model).inputs:
        raise Impossible(
            f"{spec.model} reads features, but {sets.train.n_synthetic} synthetic examples have none; "
            "train a model that reads only spectrograms"
        )
    if sets.train.n_synthetic and entry(spec.model).is_generator:
        raise Impossible(f"{spec.model} cannot be trained on synthetic examples; give it real examples only")

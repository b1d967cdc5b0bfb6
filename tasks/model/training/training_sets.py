"""The two sides of a training, and what speaks against learning from them."""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import Impossible
from domain.plural import counted
from tasks.model.spec import TrainingSpec, batch_for, epochs_for
from tasks.model.training.stream import ShardSet, surveyed
from tasks.model.zoo import entry


@dataclass(frozen=True)
class Sides:
    """The examples to learn from and those to stop by."""

    train: ShardSet
    valid: ShardSet

    def notes(self, spec: TrainingSpec) -> tuple[str, ...]:
        """What a reader of the results should know, in sentences."""
        unseen = [name for label, name in enumerate(spec.labels) if label not in self.train.label_counts]
        asked, batch = spec.settings.batch, batch_for(self.train.n_examples, spec.settings.batch)
        notes = []
        if batch < asked:
            notes.append(
                f"batches of {batch} instead of {asked}: there are only {self.train.n_examples} training examples"
            )
        epochs = epochs_for(self.train.n_examples, spec.settings)
        if epochs < spec.settings.epochs:
            notes.append(f"{epochs} epochs, not {spec.settings.epochs}, for {self.train.n_examples} training examples")
        if not self.valid.n_examples:
            notes.append("no validation examples: trained for the fixed number of epochs, the last one was kept")
        if unseen:
            notes.append(f"no training example of {', '.join(unseen)}: the network cannot know them")
        return tuple(notes)


def surveyed_sides(spec: TrainingSpec) -> Sides:
    """The sides of this training.

    Raises Impossible where the shards come from several pipelines, a label has no name, fewer than two classes have
    training examples, or synthetic examples stand where they must not; Damaged where a file is not what was written.
    """
    sides = Sides(*(surveyed(paths, spec.settings.features) for paths in (spec.train_shards, spec.valid_shards)))
    _require_real(spec, sides)
    pipelines = sides.train.pipeline_digests | sides.valid.pipeline_digests
    if len(pipelines) > 1:
        raise Impossible(f"the shards come from the pipelines {', '.join(sorted(pipelines))}; train on those of one")
    highest = max([*sides.train.label_counts, *sides.valid.label_counts], default=-1)
    if highest >= len(spec.labels):
        raise Impossible(f"a shard holds label {highest}, and only {len(spec.labels)} labels are named")
    known = [spec.labels[label] for label in sides.train.label_counts]
    if len(known) < 2:
        raise Impossible(
            f"the training examples are of {counted(len(known), 'class', 'classes')} ({', '.join(known) or 'none'}); "
            "a classifier needs two or more"
        )
    return sides


def _require_real(spec: TrainingSpec, sides: Sides) -> None:
    """Synthetic examples are only ever learnt from, and by networks of pictures: their features are not known."""
    if sides.valid.n_synthetic:
        raise Impossible(
            f"{sides.valid.n_synthetic} synthetic examples stand on the validation side; only real ones can judge"
        )
    if sides.train.n_synthetic and "features" in entry(spec.model).inputs:
        raise Impossible(
            f"{spec.model} reads features, and {sides.train.n_synthetic} synthetic examples have none; "
            "train a network that reads pictures alone on them"
        )
    if sides.train.n_synthetic and entry(spec.model).is_generator:
        raise Impossible(f"{spec.model} makes synthetic examples and cannot learn from them; give it real ones alone")

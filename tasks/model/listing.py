"""Print models and their layers as JSON: `python -m tasks.model.listing CLASSES [MODEL…]`.

It is a separate program because it imports Keras, which the command line must not load.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from tasks.audio.features import FEATURES
from tasks.audio.preset import load_preset
from tasks.model.inputs import InputShapes
from tasks.model.zoo import MODELS, ModelEntry


def describe_model(entry: ModelEntry, n_classes: int) -> dict[str, Any]:
    """Describe one model, built for `n_classes` classes and the spectrogram size of its preset.

    Returns a JSON object. `kind` is "classifier" or "generator".
    `layers` holds the name, type, output shape (without the batch axis) and number of parameters of each layer.
    """
    preset = load_preset(entry.preset)
    shapes = InputShapes(preset.mel.n_mels, preset.n_frames, len(FEATURES))
    model = entry.build(shapes, n_classes)
    return {
        "name": entry.name,
        "sentence": entry.sentence,
        "preset": entry.preset,
        "kind": "generator" if entry.is_generator else "classifier",
        "inputs": {tensor.name: list(tensor.shape[1:]) for tensor in model.inputs},
        "parameters": model.count_params(),
        "trainable_parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "layers": [
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "output": list(layer.output.shape[1:]),
                "parameters": layer.count_params(),
            }
            for layer in model.layers
        ],
    }


if __name__ == "__main__":
    n_classes, names = int(sys.argv[1]), sys.argv[2:]
    print(json.dumps([describe_model(MODELS[name], n_classes) for name in names or MODELS]))

"""What there is to train, layer by layer, as JSON: `python -m tasks.model.listing CLASSES [MODEL…]`.

A program of its own, because it asks Keras, which the command line never loads.
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


def described(entry: ModelEntry, n_classes: int) -> dict[str, Any]:
    """One model for so many classes and the pictures of its own preset: its inputs, its number of weights, its layers.

    `kind` is classifier or generator.
    `layers` holds name, type, output (without the batch) and parameters of each.
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
    print(json.dumps([described(MODELS[name], n_classes) for name in names or MODELS]))

"""Whether a network from elsewhere fits the weights that come with it, found before memory is taken for it."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import h5py
import keras
import tensorflow as tf

from tasks.model.bundle.archive import BundleError


def require_fitting(config: bytes, weights: bytes) -> None:
    """Nothing where the weights fill the network that the config describes.

    config: a network as Keras writes it down in JSON.  weights: its HDF5 file.
    Raises BundleError where the network wants more bytes than there are, so that a few words cannot ask for all memory,
    and where a dataset claims more than it stores; whatever Keras and HDF5 raise for what they do not understand.
    """
    with ThreadPoolExecutor(1, "capacity") as apart:  # what Keras notes of all it builds, it notes for each thread
        wanted_bytes = apart.submit(_variables_bytes, config).result()
    if wanted_bytes > len(weights):
        raise BundleError(f"the network wants {wanted_bytes:,} bytes of weights and {len(weights):,} are there")
    with h5py.File(BytesIO(weights), "r") as file:
        file.visititems(_require_stored)


def _variables_bytes(config: bytes) -> int:
    """Of the network's variables by their shapes; none of them gets a value."""
    described = {**json.loads(config), "compile_config": None}
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(described, safe_mode=True)
    if not isinstance(network, keras.Model):
        raise BundleError(f"the config describes a {type(network).__name__}, not a network")
    return sum(math.prod(each.shape) * tf.as_dtype(each.dtype).size for each in network.variables)


def _require_stored(name: str, node: h5py.Dataset | h5py.Group) -> None:
    if isinstance(node, h5py.Dataset) and node.nbytes > node.id.get_storage_size():
        raise BundleError(f"the weights {name:.80} claim {node.nbytes:,} bytes and do not store them")

"""Check that a network from elsewhere needs no more memory than its weights file holds, before it is built."""

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
    """Check that the weights file is large enough for the network of the config.

    Without this check, a short config could allocate all memory.
    config: the network as JSON from Keras.  weights: the HDF5 file.
    Raises: BundleError if the network needs more bytes than the file has, or if a dataset claims more bytes than it
    stores; errors of Keras and HDF5 if they cannot parse their part.
    """
    with ThreadPoolExecutor(
        1, "capacity"
    ) as apart:  # Keras counts layer names per thread; those of the caller must not change.
        needed_bytes = apart.submit(_variables_bytes, config).result()
    if needed_bytes > len(weights):
        raise BundleError(f"the network needs {needed_bytes:,} bytes of weights, but the file has {len(weights):,}")
    with h5py.File(BytesIO(weights), "r") as file:
        file.visititems(_require_stored)


def _variables_bytes(config: bytes) -> int:
    """Return the size of the network's variables by their shapes, without allocating them."""
    described = {**json.loads(config), "compile_config": None}
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(described, safe_mode=True)
    if not isinstance(network, keras.Model):
        raise BundleError(f"the config describes a {type(network).__name__}, not a network")
    return sum(math.prod(each.shape) * tf.as_dtype(each.dtype).size for each in network.variables)


def _require_stored(name: str, node: h5py.Dataset | h5py.Group) -> None:
    if isinstance(node, h5py.Dataset) and node.nbytes > node.id.get_storage_size():
        raise BundleError(f"the weights {name:.80} claim {node.nbytes:,} bytes but do not store them")

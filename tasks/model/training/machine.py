"""The compute device and the peak memory of this process."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import tensorflow as tf

from domain.errors import MachineFault

_STATUS = Path("/proc/self/status")


def device() -> str:
    """Return the device that TensorFlow uses: "CPU", or "GPU: " and the name of the first GPU."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return "CPU"
    return f"GPU: {tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'unnamed')}"


def prepare_devices(wish: str = "auto", *, require_gpu: bool = False) -> None:
    """Configure TensorFlow's devices; call it before the first computation.

    wish: "auto" uses a GPU if present; "cpu" hides all GPUs; "gpu" requires one.
    require_gpu: require a GPU unless the wish is "cpu", on machines reserved for GPU work.
    GPU memory grows on demand. Without a GPU, one thread computes, so that the order of sums, and with it the weights,
    does not depend on the number of cores.
    Raises: MachineFault if a GPU is required and TensorFlow finds none.
    """
    if wish == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return _compute_in_one_thread()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and (require_gpu or wish == "gpu"):
        requester = "the run requests one" if wish == "gpu" else "this worker requires one"
        raise MachineFault(
            f"TensorFlow finds no GPU, and {requester}; install its driver, or omit --device gpu and CHORUS_REQUIRE_GPU"
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, enable=True)
    return None if gpus else _compute_in_one_thread()


def is_half_precision_fast() -> bool:
    """Return True if every visible GPU has float16 hardware: compute capability 7.0 or higher.

    Source: NVIDIA, "Train With Mixed Precision", user's guide, "Tensor Core" requirements.
    """
    gpus = tf.config.get_visible_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return bool(gpus) and all(tuple(facts.get("compute_capability", (0, 0))) >= (7, 0) for facts in details)


def _compute_in_one_thread() -> None:
    # TensorFlow refuses after its first computation, as in a notebook; workers start a new process for each job.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def peak_rss_bytes() -> int:
    """Return the peak memory of this process since it started.

    On Linux it reads /proc, because getrusage reports the parent's peak if that was higher at the fork.
    """
    if _STATUS.exists():
        peak = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_rss if sys.platform == "darwin" else peak_rss * 1024

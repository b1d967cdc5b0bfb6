"""What this process computes on, and how much memory it took."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import tensorflow as tf

from tasks.failures import MachineFault

_STATUS = Path("/proc/self/status")


def device() -> str:
    """What TensorFlow computes on: "CPU", or "GPU: " and the name of the first one."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return f"GPU: {tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'unnamed')}"


def prepare_devices(*, require_gpu: bool) -> None:
    """Lets a GPU's memory grow with what is needed, or computes in one thread; before anything is computed.

    In one thread sums are always taken in the same order, so weights do not depend on how many cores there are.
    Raises MachineFault where a GPU is required and TensorFlow sees none.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if require_gpu and not gpus:
        raise MachineFault("TensorFlow sees no GPU here, and CHORUS_REQUIRE_GPU is set; mend its driver, or unset it")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, enable=True)
    if not gpus:
        _compute_in_one_thread()


def _compute_in_one_thread() -> None:
    # A worker's child is new for each job. A process that has computed before, like a notebook, keeps its threads.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def peak_rss_bytes() -> int:
    """The most memory this process ever held.

    On Linux from its own status: getrusage would tell the parent's peak where that was higher at the fork.
    """
    if _STATUS.exists():
        peak = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_rss if sys.platform == "darwin" else peak_rss * 1024

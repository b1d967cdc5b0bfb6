"""What this process computes on, and how much memory it took."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import tensorflow as tf

from domain.errors import MachineFault

_STATUS = Path("/proc/self/status")


def device() -> str:
    """What TensorFlow computes on: "CPU", or "GPU: " and the name of the first one."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return "CPU"
    return f"GPU: {tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'unnamed')}"


def prepare_devices(wish: str = "auto", *, require_gpu: bool = False) -> None:
    """Lets a GPU's memory grow with what is needed, or computes in one thread; before anything is computed.

    wish: "auto", a GPU where there is one; "cpu", none even then; "gpu", nothing else.  require_gpu: this machine is
    for GPUs, and whoever has no wish needs one.
    In one thread sums are always taken in the same order, so weights do not depend on how many cores there are.
    Raises MachineFault where a GPU is required and TensorFlow sees none.
    """
    if wish == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return _compute_in_one_thread()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and (require_gpu or wish == "gpu"):
        why = "the run asks for one" if wish == "gpu" else "this worker requires one"
        raise MachineFault(
            f"TensorFlow sees no GPU here, and {why}; mend its driver, or do without --device gpu or CHORUS_REQUIRE_GPU"
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, enable=True)
    return None if gpus else _compute_in_one_thread()


def is_half_precision_fast() -> bool:
    """Whether all GPUs that are used multiply 16-bit numbers in hardware of their own: compute capability 7.0 or more.

    Source: NVIDIA, "Train With Mixed Precision", user's guide, "Tensor Core" requirements.
    """
    gpus = tf.config.get_visible_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return bool(gpus) and all(tuple(facts.get("compute_capability", (0, 0))) >= (7, 0) for facts in details)


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

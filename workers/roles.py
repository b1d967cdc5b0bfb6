"""Roles of worker processes: the queue, the tasks, the pool and the limits of each."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from settings import Settings
from tasks.model.training.allocator import MMAP_THRESHOLD_BYTES
from workers.hardware import has_gpu, preprocessings_at_once, trainings_at_once

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
# obstore would start one thread per core in every child, and each thread takes an arena of about 60 MB of address
# space. The limit of a cpu worker's child leaves too little for that: with 24 cores, good recordings ran out of memory.
# pyarrow's own allocator takes a gigabyte of address space at once.
_FEW_THREADS = {"TOKIO_WORKER_THREADS": "2"}
_FEW_REMEMBERED = {"CELERY_WORKER_SUCCESSFUL_MAX": "100"}
"""Number of finished message ids that Celery keeps to detect duplicates; here the ledger detects them."""
_LITTLE_ADDRESS_SPACE = {"MALLOC_ARENA_MAX": "4", "ARROW_DEFAULT_MEMORY_POOL": "system"}

# Makes the allocator keep large arrays. Otherwise they are returned to the system and requested again for every
# recording and every training step: a tenth of preprocessing and half of a CNN's training (docs/notes/performance.md).
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(MMAP_THRESHOLD_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}

_FAST_KERNELS = {"TF_ENABLE_ONEDNN_OPTS": "1"}
"""Enables oneDNN's kernels, which TensorFlow uses by default only on processors with instructions for neural networks.
"""


@dataclass(frozen=True)
class Role:
    """One kind of worker."""

    name: str
    verbs: tuple[str, ...]
    """Modules that define its tasks."""
    environment: dict[str, str]
    """Environment variables, set before the process starts because libraries read them at import."""
    celery: dict[str, Any] = field(default_factory=dict)
    """Celery settings of this role."""

    @property
    def queue(self) -> str:
        """The queue that it serves."""
        return self.name

    def children(self, settings: Settings) -> int:
        """Number of child processes of one worker on this machine."""
        if self.name == "cpu":
            return settings.concurrency or preprocessings_at_once()
        return settings.gpu_concurrency or trainings_at_once(on_gpu=sees_gpu(settings))


CPU = Role(
    "cpu",
    verbs=("tasks.preprocess", "tasks.pack", "tasks.render", "tasks.predict", "tasks.collect"),
    environment={**_ONE_THREAD, **_FEW_THREADS, **_FEW_REMEMBERED, **_LITTLE_ADDRESS_SPACE, **KEPT_MEMORY},
    celery={"worker_max_tasks_per_child": 2000},
)
GPU = Role(
    "gpu",
    verbs=("tasks.train", "tasks.evaluate"),
    # A new, spawned process for each job: TensorFlow does not survive a fork and never returns memory.
    environment={"TF_CPP_MIN_LOG_LEVEL": "3", **_FAST_KERNELS, **_ONE_THREAD, **_FEW_THREADS, **KEPT_MEMORY},
    celery={"worker_pool_start_method": "spawn", "worker_max_tasks_per_child": 1},
)
ROLES = {role.name: role for role in (CPU, GPU)}
QUEUE_OF_TASK = {verb.removeprefix("tasks."): role.queue for role in ROLES.values() for verb in role.verbs}


def sees_gpu(settings: Settings) -> bool:
    """Whether a worker on this machine would see a GPU."""
    return has_gpu() and not settings.are_gpus_hidden


def device(settings: Settings) -> str:
    """The device of a worker on this machine, as far as is known without TensorFlow."""
    if settings.role == GPU.name and sees_gpu(settings):
        return "GPU"
    n = ROLES[settings.role].children(settings)
    return f"CPU, {n} at a time"


def warnings(role: Role, settings: Settings) -> list[str]:
    """Warnings to users about a worker of this role on this machine."""
    if role is not GPU or sees_gpu(settings):
        return []
    n = role.children(settings)
    return [f"no GPU was found on this machine: models are trained on the CPU, {n} at a time, in one thread each"]


def command(role: Role, settings: Settings, name: str) -> list[str]:
    """The worker's command line. `name` is unique among the workers of one broker, such as `cpu-1@host`."""
    return [
        sys.executable, "-m", "celery", "--app", "workers.app", "worker",
        "--queues", role.queue, "--hostname", name, "--pool", "prefork",
        "--concurrency", str(role.children(settings)),
        "--without-gossip", "--without-mingle", "--loglevel", "INFO",
    ]  # fmt: skip


def environment(role: Role, settings: Settings) -> dict[str, str]:
    """The worker's environment: this process's, plus every setting, plus the role's own variables."""
    return {**settings.environment(), **role.environment, "CHORUS_ROLE": role.name}

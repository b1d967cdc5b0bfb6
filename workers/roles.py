"""A role is what a worker process is for: its queue, the verbs it knows, its pool and its limits."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from settings import Settings
from tasks.model.training.kept_memory import LARGEST_KEPT_BYTES
from workers.hardware import has_gpu, preprocessings_at_once, trainings_at_once

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
# obstore would start a thread a core in every child, and each thread an arena of some 60 MB of address space, which a
# cpu worker's child is short of: with 24 cores good recordings found no memory. pyarrow's own allocator takes a
# gigabyte of it at once.
_FEW_THREADS = {"TOKIO_WORKER_THREADS": "2"}
_FEW_REMEMBERED = {"CELERY_WORKER_SUCCESSFUL_MAX": "100"}
"""Ids of messages that are done. Celery asks for them where one may come twice, and here the ledger knows that."""
_LITTLE_ADDRESS_SPACE = {"MALLOC_ARENA_MAX": "4", "ARROW_DEFAULT_MEMORY_POOL": "system"}

# Large arrays are given back to the system and asked for anew, for every recording and at every step of a training,
# unless the allocator keeps them: a tenth of preprocessing and half of a CNN's training went into that
# (docs/notes/performance.md).
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(LARGEST_KEPT_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}

_FAST_KERNELS = {"TF_ENABLE_ONEDNN_OPTS": "1"}
"""oneDNN's, which TensorFlow itself takes only on processors with instructions for neural networks."""


@dataclass(frozen=True)
class Role:
    """One kind of worker."""

    name: str
    verbs: tuple[str, ...]
    """Modules with its tasks."""
    environment: dict[str, str]
    """Set before the process starts: libraries read these at import."""
    celery: dict[str, Any] = field(default_factory=dict)
    """Celery settings of its own."""

    @property
    def queue(self) -> str:
        """The one queue it serves."""
        return self.name

    def children(self, settings: Settings) -> int:
        """Child processes of one worker on this machine."""
        if self.name == "cpu":
            return settings.concurrency or preprocessings_at_once()
        return settings.gpu_concurrency or trainings_at_once(on_gpu=sees_gpu(settings))


CPU = Role(
    "cpu",
    verbs=("tasks.preprocess", "tasks.pack", "tasks.render"),
    environment={**_ONE_THREAD, **_FEW_THREADS, **_FEW_REMEMBERED, **_LITTLE_ADDRESS_SPACE, **KEPT_MEMORY},
    celery={"worker_max_tasks_per_child": 2000},
)
GPU = Role(
    "gpu",
    verbs=("tasks.train", "tasks.evaluate"),
    # A fresh, spawned process a job: TensorFlow survives no fork and gives no memory back.
    environment={"TF_CPP_MIN_LOG_LEVEL": "3", **_FAST_KERNELS, **_ONE_THREAD, **_FEW_THREADS, **KEPT_MEMORY},
    celery={"worker_pool_start_method": "spawn", "worker_max_tasks_per_child": 1},
)
ROLES = {role.name: role for role in (CPU, GPU)}
QUEUE_OF_TASK = {verb.removeprefix("tasks."): role.queue for role in ROLES.values() for verb in role.verbs}


def sees_gpu(settings: Settings) -> bool:
    """Whether a worker started here would see a GPU."""
    return has_gpu() and not settings.are_gpus_hidden


def device(settings: Settings) -> str:
    """What a worker started here computes on, as far as is known without TensorFlow."""
    if settings.role == GPU.name and sees_gpu(settings):
        return "GPU"
    n = ROLES[settings.role].children(settings)
    return f"CPU, {n} at a time"


def warnings(role: Role, settings: Settings) -> list[str]:
    """What a person should know of a worker of this role on this machine, in sentences."""
    if role is not GPU or sees_gpu(settings):
        return []
    n = role.children(settings)
    return [f"no GPU is seen here: models are trained on the CPU, {n} at a time, in one thread each"]


def command(role: Role, settings: Settings, name: str) -> list[str]:
    """The worker's command line. `name` is unique among the workers of one broker, like `cpu-1@host`."""
    return [
        sys.executable, "-m", "celery", "--app", "workers.app", "worker",
        "--queues", role.queue, "--hostname", name, "--pool", "prefork",
        "--concurrency", str(role.children(settings)),
        "--without-gossip", "--without-mingle", "--loglevel", "INFO",
    ]  # fmt: skip


def environment(role: Role, settings: Settings) -> dict[str, str]:
    """The worker's environment: this one's, every setting, and the role's own."""
    return {**settings.environment(), **role.environment, "CHORUS_ROLE": role.name}

"""Decorators that compile loops to machine code with numba: one thread, cached between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Allows LLVM to reorder sums, which it must to vectorise them. Infinities and NaN keep their meaning.
_REORDERED = {"reassoc", "contract", "nsz"}


def part(of_kernels: Kernel) -> Kernel:
    """Mark a function as part of kernels: LLVM inlines it into each kernel, and it is never called by itself.

    A function that is called would be optimised twice: alone, and inside each kernel. The process that compiles uses
    the first result, processes that load the cache use the second. The two may add in different orders, and then the
    last bit of a feature would depend on the process.
    numba's own inlining, before LLVM, makes denoising a third slower.
    """
    return cast("Kernel", numba.njit(forceinline=True, error_model="numpy", fastmath=_REORDERED)(of_kernels))


def compiled(kernel: Kernel) -> Kernel:
    """Return the function, compiled at its first call for each combination of argument types, or loaded from the cache.

    The cache is stored beside the source file, or in the user's cache folder if that is not writable; if neither is,
    every process compiles.
    A kernel must call no other kernel, only a `part` in its own file: numba compiles again only if the file that
    defines the kernel changes, and would otherwise load outdated code.
    """
    options = {"error_model": "numpy", "fastmath": _REORDERED}  # a check for division by zero would prevent vectorising
    try:
        return cast("Kernel", numba.njit(cache=True, **options)(kernel))
    except RuntimeError:  # numba found no writable folder
        return cast("Kernel", numba.njit(**options)(kernel))

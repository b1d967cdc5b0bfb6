"""How loops become machine code: numba, one thread, kept in a cache between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Sums may be reordered, so that they are vectorised; infinities and NaN keep their meaning.
_REORDERED = {"reassoc", "contract", "nsz"}


def part(of_kernels: Kernel) -> Kernel:
    """A part of kernels, taken into each of them by LLVM; its own compiled form is never called.

    As a function that is called it would be optimised twice, alone and for each kernel. The process that compiles runs
    the first form, those that load from the cache the second, and the two may add in another order: the last bit of a
    feature would depend on who came first. Taken in before LLVM, by numba itself, denoising is a third slower.
    """
    return cast("Kernel", numba.njit(forceinline=True, error_model="numpy", fastmath=_REORDERED)(of_kernels))


def compiled(kernel: Kernel) -> Kernel:
    """The function compiled at its first call with each kind of argument, or loaded from where it was kept.

    Compiled code is kept beside the source, in the user's cache folder where that cannot be written, and nowhere
    where neither can. A kernel calls no other one, only a `part` in its own file: changes anywhere else, in
    this file too, are not seen, and the old code is loaded.
    """
    how = {"error_model": "numpy", "fastmath": _REORDERED}  # a check for division by zero would prevent vectorising
    try:
        return cast("Kernel", numba.njit(cache=True, **how)(kernel))
    except RuntimeError:  # no folder to keep it in
        return cast("Kernel", numba.njit(**how)(kernel))

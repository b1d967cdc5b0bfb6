"""How loops become machine code: numba, one thread, kept in a cache between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Sums may be reordered, so that they are vectorised; infinities and NaN keep their meaning.
_REORDERED = {"reassoc", "contract", "nsz"}


def compiled(kernel: Kernel) -> Kernel:
    """The function compiled at its first call with each kind of argument, or loaded from where it was kept.

    Compiled code is kept beside the source, in the user's cache folder where that cannot be written, and nowhere
    where neither can. Of the functions that a kernel calls only those in its own file are seen to change: a kernel
    never calls one of another file.
    """
    how = {"error_model": "numpy", "fastmath": _REORDERED}  # a check for division by zero would prevent vectorising
    try:
        return cast("Kernel", numba.njit(cache=True, **how)(kernel))
    except RuntimeError:  # no folder to keep it in
        return cast("Kernel", numba.njit(**how)(kernel))

"""Chance that depends on a number alone, and so not on what was drawn before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Seed the generators of Python, numpy and torch meanwhile, and put them back afterwards.

    Parameters
    ----------
    number
        From 0 to 2**32 - 1.
    """
    import torch

    plain, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(array)

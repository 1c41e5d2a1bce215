"""Importing torch's companions where their builds differ, and keeping them quiet."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any

from prodcat_index.errors import EncoderError

_TALKATIVE = ("transformers", "sentence_transformers")
_OPERATORS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@lru_cache
def import_with_torch(module: str) -> Any:
    """Import a module that needs torch and torchvision (timm, sentence_transformers).

    A torchvision wheel built for CUDA cannot load its operators beside a CPU build of torch,
    and then fails on import though nothing here ever calls them; declaring the two that it
    looks for lets it through.

    Raises
    ------
    EncoderError
        If the module, torch or torchvision cannot be imported.
    """
    try:
        import torch

        if torch.version.cuda is None:
            _declare_missing_operators()
        return import_module(module)
    except (ImportError, RuntimeError) as error:
        raise EncoderError(
            f"{module} cannot be imported ({error}); install a matching pair of torch and "
            "torchvision, such as the one in scripts/constraints.txt."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep sentence_transformers and transformers from bars and remarks of their own meanwhile."""
    bars = import_with_torch("transformers.utils.logging")
    shows_bars = bars.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    try:
        bars.disable_progress_bar()
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if shows_bars:
            bars.enable_progress_bar()


def _declare_missing_operators() -> None:
    import torch

    # The library object must outlive this call, or its operators vanish with it.
    global _library
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, signature in _OPERATORS.items():
        if not hasattr(torch.ops.torchvision, name):
            _library.define(signature)


_library: Any = None

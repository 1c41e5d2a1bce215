"""Telling columns of times from columns of names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FORMATS = ("ISO8601", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")
EARLIEST, LATEST = 1990, 2100


def read_times(values: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Read the values of a column as times, if they are times.

    Times are ISO dates such as ``2024-05-31``, ``20240531`` or ``2024``, dates such as
    ``31.05.2024``, and seconds or milliseconds since 1970, all of the years 1990 to 2100. Other
    numbers, such as the keys of shops, are names.

    Parameters
    ----------
    values
        N texts; empty where the time is not known.

    Returns
    -------
    float64, shape (N,), or None
        Seconds since 1970, NaN where not known; None if any value is no time, or all are empty.
    """
    times = np.full(len(values), np.nan)
    told = np.array([bool(value) for value in values], dtype=bool)
    texts = [value for value in values if value]
    if not texts:
        return None
    for read in (_read_seconds, _read_dates):
        found = read(texts)
        if found is not None:
            times[told] = found
            return times
    return None


def _read_seconds(texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    if not all(text.isascii() and text.isdigit() and len(text) < 16 for text in texts):
        return None
    numbers = np.array(texts, dtype=np.float64)
    return next((n for n in (numbers, numbers / 1000) if _are_plausible(n)), None)


def _read_dates(texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    import pandas as pd

    for form in FORMATS:
        dates = pd.to_datetime(pd.Series(texts), format=form, errors="coerce", utc=True)
        seconds = dates.dt.tz_localize(None).to_numpy(dtype="datetime64[s]").astype(np.float64)
        if _are_plausible(seconds):
            return seconds
    return None


def _are_plausible(seconds: npt.NDArray[np.float64]) -> bool:
    first, last = (np.datetime64(f"{year}-01-01", "s").astype(int) for year in (EARLIEST, LATEST))
    return bool(np.all((seconds >= first) & (seconds < last)))

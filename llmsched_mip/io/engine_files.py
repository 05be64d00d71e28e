"""The engine of a worker, from its file form."""

from __future__ import annotations

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.documents import DecodeIterationDocument, EngineDocument, MixedIterationDocument
from llmsched_mip.mixed_engine import Collective, IterationTime, MixedEngine, TokenTable


def engine_of(document: EngineDocument) -> MixedEngine:
    """Make a `MixedEngine`; raises `InvalidInputError` where an iteration has neither base_s nor a table, or both."""
    times = {name: _time(f"engine.{name}", getattr(document, name)) for name in ("decode", "mixed")}
    return MixedEngine(document.token_budget, document.block_tokens, document.prefix_cache, document.async_lag, **times)


def _time(where: str, document: DecodeIterationDocument | None) -> IterationTime | None:
    if document is None:
        return None
    names = ("base_s", "per_token_s") if isinstance(document, MixedIterationDocument) else ("base_s",)
    given = [name for name in names if getattr(document, name) is not None]
    if document.table is not None and given:
        raise InvalidInputError(f"{where}.table", f"stands in place of {' and '.join(names)}, got {given[0]} as well")
    if document.table is None and "base_s" not in given:
        raise InvalidInputError(f"{where}.base_s", "missing, expected seconds ≥ 0 or a table")
    collective, table = document.collective, document.table
    return IterationTime(
        document.base_s or 0.0,
        getattr(document, "per_token_s", None) or 0.0,
        getattr(document, "per_attention_s", 0.0),
        document.per_sequence_s,
        document.per_kv_token_s,
        None if table is None else TokenTable(tuple(p.tokens for p in table), tuple(p.seconds for p in table)),
        None if collective is None else Collective(collective.base_s, collective.per_token_s),
    )

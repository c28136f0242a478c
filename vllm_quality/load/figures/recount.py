"""The last resort of counting: answers whose tokens the server did not count, tokenised here, after the run."""

from collections.abc import Callable, Sequence

import polars as pl

from vllm_quality.load.figures.records import TEXT_SCHEMA, RecordsFiles


def read_texts(files: Sequence[RecordsFiles]) -> pl.DataFrame:
    """What the answers said whose tokens the server did not count, `records.TEXT_SCHEMA`; up to 64 MiB per worker."""
    return pl.concat([pl.DataFrame(schema=TEXT_SCHEMA), *(pl.read_ipc(shard.texts) for shard in files)])


def recount(frame: pl.DataFrame, texts: pl.DataFrame, count_tokens: Callable[[str], int] | None) -> pl.DataFrame:
    """The frame with a column `recounted`, and with `output_tokens` counted again where the server did not count them.

    texts          `read_texts`; a row without a text keeps its count
    count_tokens   how many tokens a text has; None: no row is recounted

    One token per event is the guess where the server gives no count, and wrong as soon as an event brings several. A
    tokenizer's count of the whole text is a better one, though no more than that: the model may have put the same text out
    in other tokens. `counted` stays false.
    """
    told = texts.clear() if count_tokens is None else texts
    counts = [] if count_tokens is None else [count_tokens(text) for text in texts["text"]]
    found = told.select("request_index", pl.Series("again", counts, pl.UInt32())).filter(pl.col("again") > 0)
    joined = frame.join(found, on="request_index", how="left", maintain_order="left")
    recounted = pl.col("again").is_not_null()
    output_tokens = pl.when(recounted).then("again").otherwise("output_tokens")
    return joined.with_columns(output_tokens=output_tokens, recounted=recounted).drop("again")

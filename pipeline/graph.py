"""The graph: read news, classify it, write what came of it."""

from __future__ import annotations

import apache_beam as beam

from pipeline.connect import WriteResults
from pipeline.ends.end import Ends
from pipeline.options import RunOptions
from pipeline.watching.settings import WatchSettings
from transforms.classify_news import ClassifyNews
from transforms.result_cache import CacheSettings
from transforms.watching.tracing import BeginSpans, EndSpans


def build(pipeline: beam.Pipeline, options: RunOptions, ends: Ends) -> None:
    """Adds the whole graph to a pipeline.

    Args:
        pipeline: The pipeline.
        options: What to do with a message on its way.
        ends: Where messages come from, and where outcomes go.
    """
    news = pipeline | "Read news" >> ends.source.read()
    tracing = options.of(WatchSettings).tracing
    if tracing:
        news = news | "Begin spans" >> BeginSpans()
    classified = news | "Classify news" >> ClassifyNews(
        options.model.model,
        news=ends.source.run.news,
        scores=options.scores,
        max_length=options.model.max_length,
        threads=options.model.threads,
        processes=ends.source.run.processes,
        result_cache=options.of(CacheSettings).result_cache,
    )
    outcomes = classified.outcomes
    if tracing:
        outcomes = outcomes | "End spans" >> EndSpans()
    # All outcomes together: one transaction, where source and sinks are one Kafka cluster.
    _ = outcomes | "Write results" >> WriteResults(ends)

"""The graph: read news, classify it, write what came of it."""

from __future__ import annotations

import apache_beam as beam

from pipeline.connect import Ends
from pipeline.options import RunOptions
from transforms.classify_news import ClassifyNews


def build(pipeline: beam.Pipeline, options: RunOptions, ends: Ends) -> None:
    """Adds the whole graph to a pipeline.

    Args:
        pipeline: The pipeline.
        options: What to do with a message on its way.
        ends: Where messages come from, and where outcomes go.
    """
    news = pipeline | "Read news" >> ends.read()
    classified = news | "Classify news" >> ClassifyNews(
        options.model,
        format=ends.format,
        text_fields=options.text_fields,
        id_field=options.id_field,
        time_field=options.time_field,
        text_clean_up=options.text_clean_up,
        columns=ends.columns,
        delimiter=ends.delimiter,
        fail_fast=options.fail_fast,
        max_length=options.max_length,
        long_text=options.long_text,
        activation=options.activation,
        threshold=options.threshold,
        multi_label=options.multi_label,
        temperature=options.temperature,
    )
    # Both streams together: one transaction, where source and sinks are one Kafka cluster.
    _ = classified.outcomes | "Write results" >> ends.write()

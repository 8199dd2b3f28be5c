"""What FnApiRunner does with windows of an endless stream: it waits for the end."""

from __future__ import annotations

import logging

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

log = logging.getLogger("newsbeam")

#: A batch runner: what comes after a grouping is run when all that comes before it has ended.
WAITS_FOR_THE_END = "FnApiRunner"


class _Groupings(PipelineVisitor):
    """Finds where elements of an unbounded PCollection are grouped."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        if isinstance(transform_node.transform, beam.GroupByKey) and not all(
            pcoll.is_bounded for pcoll in transform_node.inputs
        ):
            self.found.append(transform_node.full_label)


def warn_of_groupings(pipeline: beam.Pipeline) -> None:
    """Says in one line that windows won't fire, where they won't."""
    if type(pipeline.runner).__name__ != WAITS_FOR_THE_END:
        return
    groupings = _Groupings()
    pipeline.visit(groupings)
    if groupings.found:
        log.warning(
            "%s hands an endless stream to %r only when it has ended: no window fires before; "
            "take PrismRunner, or DirectRunner, which takes Prism where it is there",
            WAITS_FOR_THE_END,
            groupings.found[0],
        )

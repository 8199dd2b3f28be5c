"""What a dry run shows: all that would run, on one screen."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from models.bundle import Bundle
from pipeline.options import RunOptions
from pipeline.runners.checking import CheckSettings
from pipeline.runners.runner import Job


def plan(job: Job) -> str:
    """What would run, as lines."""
    options = job.options
    assert isinstance(options, RunOptions)
    bundle = Bundle.load(options.model.model)
    standard, ends = job.beam_options.view_as(StandardOptions), job.ends
    rows = [
        ("runner", f"{standard.runner}, {'a stream' if standard.streaming else 'a batch'}"),
        ("source", ends.source.end.uri),
    ]
    for share, sink in ends.sinks:
        routed = f"{', '.join(sorted(share.categories))}: " if share.categories is not None else ""
        rows.append(("sink", routed + sink.end.uri))
    rows += [
        ("dead letters", ends.dead_letters.end.uri),
        ("delivery", f"{ends.delivery.replace('_', ' ')}: {ends.why}"),
        ("model", bundle.model_id),
        ("reads", str(options.reading(bundle))),
        (
            "not asked",
            ", ".join(options.of(CheckSettings).skip_checks) or "none was left out",
        ),
    ]
    shown = [f"  {name:<13} {value}" for name, value in rows]
    steps = [f"  {'  ' * depth}{label}" for label, depth in _steps(job)]
    return "\n".join(["newsbeam would run this, and has started nothing:", *shown, "", *steps, ""])


def _steps(job: Job) -> Iterator[tuple[str, int]]:
    """The steps of the graph, down to two levels, and how deep each stands."""
    seen: list[tuple[str, int]] = []

    class Walk(PipelineVisitor):
        depth = 0

        def _see(self, node: AppliedPTransform) -> None:
            if node.full_label and self.depth <= 2:
                seen.append((node.full_label.rpartition("/")[2], self.depth))

        def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
            self._see(transform_node)
            self.depth += 1

        def leave_composite_transform(self, transform_node: AppliedPTransform) -> None:
            self.depth -= 1

        def visit_transform(self, transform_node: AppliedPTransform) -> None:
            self._see(transform_node)

    job.pipeline.visit(Walk())
    yield from seen

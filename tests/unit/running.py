"""Pipelines in tests: on FnApiRunner, in this process."""

from __future__ import annotations

from apache_beam.testing.test_pipeline import TestPipeline


def local_pipeline() -> TestPipeline:
    """A pipeline for a `with` block, at whose end it has run."""
    return TestPipeline(runner="FnApiRunner")

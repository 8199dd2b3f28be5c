"""Tests of `pipeline.runners`."""

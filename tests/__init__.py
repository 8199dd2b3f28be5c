"""Tests: `unit` mirrors the packages, `integration` starts real servers, `servers` are those."""

"""Importing much: nothing is collected meanwhile, and what nobody uses waits."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from pipeline import imports
from pipeline.imports import clouds_when_used, uncollected


def test_nothing_is_collected_meanwhile() -> None:
    try:
        with uncollected():
            assert not gc.isenabled()
            before = gc.get_freeze_count()
            made = [[] for _ in range(1000)]
        assert gc.isenabled()
        # Nor are they looked through later.
        assert gc.get_freeze_count() > before + len(made)
        gc.disable()
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


def test_a_module_is_loaded_when_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cloud_of_a_test.py").write_text("import sys\nsys.loaded = True\nname = 'cloud'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "OF_CLOUDS", ("cloud_of_a_test", "no_such_cloud"))
    finders = list(sys.meta_path)
    try:
        with clouds_when_used():
            import cloud_of_a_test  # type: ignore[import-not-found]

            with pytest.raises(ModuleNotFoundError):
                import no_such_cloud  # type: ignore[import-not-found]  # noqa: F401
        assert sys.meta_path == finders
        assert not hasattr(sys, "loaded")
        assert cloud_of_a_test.name == "cloud"
        assert sys.loaded  # type: ignore[attr-defined]
    finally:
        sys.modules.pop("cloud_of_a_test", None)
        vars(sys).pop("loaded", None)

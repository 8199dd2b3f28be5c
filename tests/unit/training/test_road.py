"""`make train` in small: every step of the road, from AG News to two bundles that classify."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

from models.bundle import Bundle
from models.onnx import OnnxModel
from models.reading import Reading
from models.verify import verify_model
from training.__main__ import main

ROOT = Path(__file__).parents[3]
AG_NEWS = ROOT / "../shared/data/ag_news"


def _train(target: Path) -> str:
    command = [sys.executable, "-m", "training", "--config", "training/smoke.toml"]
    command += ["--root", str(target), "all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.skipif(not AG_NEWS.is_dir(), reason="no AG News in ../shared/data/ag_news")
def test_the_whole_road(tmp_path: Path) -> None:
    _train(tmp_path)
    bundles = tmp_path / "runs" / "bundles"
    sizes = []
    for name in ("ag_news_small", "ag_news_mini"):
        bundle = Bundle.load(bundles / name)
        assert bundle.labels == ("World", "Sports", "Business", "Sci/Tech")
        verify_model(OnnxModel(bundle))
        sizes.append(bundle.model_file.stat().st_size)
        report = json.loads((bundles / f"{name}.json").read_text())
        assert report["float_graph_against_torch"] < 1e-4
        assert report["test"]["samples"] == report["test_headlines"]["samples"] == 60
        assert bundle.temperature == report["test"]["temperature"] != 1
        card = (bundles / name / "README.md").read_text()
        assert f"{report['test']['eval_accuracy']:.5f} (95%: " in card
        assert "$" not in card
        reads = (
            Reading(32, "average", 16, 2) if name == "ag_news_small" else Reading.of(bundle, 512)
        )
        assert Reading.of(bundle) == reads
        assert f"It reads {reads} (" in card
        assert "| joined rows of it | up to 512 | 200 | " in card
        for picture in ("evaluation.png", "curves.png"):
            assert (bundles / name / picture).read_bytes().startswith(b"\x89PNG")
    # The sibling has half the layers.
    assert sizes[1] < sizes[0]
    with (tmp_path / "runs" / "small" / "curve.csv").open(newline="") as file:
        assert {"step", "rows", "train_loss", "validation_loss"} <= set(next(csv.DictReader(file)))


def test_a_setting_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text('[data]\nfolder = "x"\nvalidation_row = 3\n')
    monkeypatch.setattr(sys, "argv", ["training", "--config", str(config), "tokens"])
    with pytest.raises(SystemExit, match=r"wrong\.toml: .*'validation_row'.*'validation_rows'"):
        main()


def test_a_road_from_bundles_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["training", "--config", "training/shipped.toml", "all"]
    command += ["--from-bundle", "models/ag_news_small"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        main()
    assert "starts from runs/ag_news_mini: give --from-bundle for each" in capsys.readouterr().err

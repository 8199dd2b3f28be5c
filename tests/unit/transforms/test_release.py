"""Workers of another newsbeam: refused in one line, wherever the steps are unpickled."""

from __future__ import annotations

import logging
import pickle

import pytest
from apache_beam.internal import pickler

from transforms import release as module
from transforms.classify import Categorize, OnnxTextClassifier
from transforms.failures import PipelineFailure, forget_failures
from transforms.release import Release, Stamp, release


@pytest.fixture(autouse=True)
def _no_failure_is_left() -> None:
    forget_failures()
    module._warn.cache_clear()


def sent_by(monkeypatch: pytest.MonkeyPatch, other: Release, what: object) -> bytes:
    """What another newsbeam would have pickled."""
    with monkeypatch.context() as there:
        there.setattr(module, "release", lambda: other)
        return pickler.dumps(what)


def test_the_same_newsbeam_takes_its_own() -> None:
    assert isinstance(pickle.loads(pickle.dumps(Stamp())), Stamp)
    assert release().digest == release().digest


@pytest.mark.parametrize("step", [Categorize(), OnnxTextClassifier()], ids=["step", "model"])
def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, step: object) -> None:
    sent = sent_by(monkeypatch, Release("9.9.9", release().digest), step)
    with pytest.raises(PipelineFailure, match=r"was made by 9\.9\.9") as caught:
        pickler.loads(sent)
    assert "\n" not in str(caught.value)
    forget_failures()


def test_other_code_of_one_version_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent = sent_by(monkeypatch, Release(release().version, "0000beef"), [Stamp(), Stamp()])
    with caplog.at_level(logging.WARNING, "newsbeam"):
        pickler.loads(sent)
        pickler.loads(sent)
    assert [r.getMessage() for r in caplog.records if "0000beef" in r.getMessage()] == [
        caplog.records[0].getMessage()
    ]


def test_a_checkout_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = sent_by(monkeypatch, Release(module._UNKNOWN, release().digest), Stamp())
    assert isinstance(pickler.loads(sent), Stamp)

"""The options of a run, as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.model_settings import ModelSettings
from models.reading import Reading
from models.scores import ScoreSettings
from models.settings import SettingsSet
from pipeline.ends.kinds import KIND_OPTIONS
from pipeline.ends.settings import EndSettings
from pipeline.runners.settings import RUNNER_OPTIONS
from pipeline.watching.settings import WatchSettings
from transforms.errors import ConfigurationError
from transforms.news_settings import NewsSettings
from transforms.result_cache import CacheSettings

if TYPE_CHECKING:
    from models.bundle import Bundle

#: The classes that declare the options of `newsbeam run`, in the order of its help.
RUN_SETTINGS: tuple[type, ...] = (
    EndSettings,
    *KIND_OPTIONS,
    NewsSettings,
    ModelSettings,
    ScoreSettings,
    CacheSettings,
    WatchSettings,
    *RUNNER_OPTIONS,
)


class RunOptions(SettingsSet):
    """What `newsbeam run` is asked to do.

    Args:
        source: URI to read from.
        sink: URI to write categorized items to.
        **given: Any option of `RUN_SETTINGS`, by its name.

    Raises:
        ConfigurationError: An option is none of its choices.
        TypeError: There is no such option.
    """

    def __init__(self, source: str, sink: str | None = None, **given: Any) -> None:
        try:
            super().__init__(RUN_SETTINGS, {"source": source, "sink": sink, **given})
        except ConfigurationError:
            raise
        except ValueError as e:
            raise ConfigurationError(f"--{e}") from None

    @property
    def ends(self) -> EndSettings:
        """Those of the ends."""
        return self.of(EndSettings)

    @property
    def news(self) -> NewsSettings:
        """What a message is."""
        return self.of(NewsSettings)

    @property
    def model(self) -> ModelSettings:
        """Which model."""
        return self.of(ModelSettings)

    @property
    def scores(self) -> ScoreSettings:
        """How its logits are read."""
        return self.of(ScoreSettings)

    def reading(self, bundle: Bundle) -> Reading:
        """How much of a text is read by a bundle's model.

        Raises:
            ConfigurationError: What is asked for can't be.
        """
        model, scores = self.model, self.scores
        try:
            return Reading.of(
                bundle,
                model.max_length,
                scores.long_text,
                scores.window_tokens,
                scores.max_windows,
            )
        except ValueError as e:
            raise ConfigurationError(f"--{e}") from None

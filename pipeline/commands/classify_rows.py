"""The rows that `newsbeam classify` writes on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.style import Style
from rich.text import Text

from models.classifier import Prediction
from pipeline.printing import fit, printable
from pipeline.terminal import is_terminal

#: Width of the bar of scores, in characters.
BAR_WIDTH = 20

_COLORS = ("cyan", "green", "yellow", "magenta", "blue", "red")
# By rank, so that the bar can be read without colors.
_SHADES = "█▓▒░"


class Rows:
    """Writes rows for people: category, score, a bar of all scores, the text.

    Args:
        labels: The labels of the model.
        multi_label: Whether several may hold.

    Attributes:
        wanted: Whether stdout is a terminal, which is what they are for.
    """

    def __init__(self, labels: tuple[str, ...], multi_label: bool) -> None:
        self._console = Console(highlight=False, soft_wrap=False)
        self.wanted = is_terminal(self._console)
        self._multi_label = multi_label
        self._width = min(max(len(label) for label in labels), 24)
        self._colors = {label: _COLORS[i % len(_COLORS)] for i, label in enumerate(labels)}

    def write(self, text: str, prediction: Prediction) -> None:
        """Writes the row of a text."""
        row = Text(no_wrap=True, overflow="ellipsis")
        color = Style(color=self._colors[prediction.category], bold=True)
        row.append(fit(prediction.category, self._width), color)
        row.append(f"  {prediction.score:5.1%} ")
        row.append_text(self._bar(prediction.scores))
        if self._multi_label:
            row.append(f"  [{', '.join(prediction.labels)}]")
        row.append(f"  {printable(text)}", Style(dim=True))
        self._console.print(row, no_wrap=True, overflow="ellipsis")

    def _bar(self, scores: dict[str, float]) -> Text:
        """A bar divided between the labels, as their scores are to each other."""
        total = sum(scores.values()) or 1.0
        ranked = sorted(scores.items(), key=lambda item: -item[1])
        bar = Text()
        done = 0.0
        for rank, (label, score) in enumerate(ranked):
            begin, done = done, done + score / total * BAR_WIDTH
            shade = _SHADES[min(rank, len(_SHADES) - 1)]
            bar.append(shade * (round(done) - round(begin)), Style(color=self._colors[label]))
        return bar

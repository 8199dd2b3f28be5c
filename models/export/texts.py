"""Texts on which a bundle is compared with the model it was made of, where none are given."""

from __future__ import annotations

from pathlib import Path

from models.errors import BundleError

#: Short and long, plain and odd: each is here for what a tokenizer or a graph may get wrong.
TEXTS = (
    "Striker scores twice in the second half as the home team wins the cup final",
    "Shares fall as the bank reports lower quarterly profit and cuts its dividend",
    "New software update fixes a security hole in a popular web browser, researchers say",
    "Foreign ministers meet after border clashes; peace talks resume on Monday",
    "Oil at $61.20 a barrel (+3.5%), the highest since 2019 - analysts aren't surprised",
    "goal",
    "A",
    "LOUD HEADLINE IN CAPITAL LETTERS!!!",
    "  spaces   before, \t between\nand after  ",
    "Café owners in Zürich protest naïve tax plan — “unfair”, they say…",
    "東京の株価が上昇 Курс рубля вырос अंतरिक्ष यान ارتفاع الأسهم",
    "🚀 launch delayed again 😀 see <b>http://example.org/?a=1&b=2</b> #space @agency",
    "Quarterly results, transfers, elections and launches: a digest. " * 12,
    "The committee met for the third time this week without reaching an agreement. " * 80,
)


def read_texts(file: Path | None) -> list[str]:
    """The texts of a file, one a line, empty lines left out; without a file, `TEXTS`.

    Raises:
        BundleError: It cannot be read, or is empty.
    """
    if file is None:
        return list(TEXTS)
    try:
        texts = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as e:
        raise BundleError(f"texts {file}: cannot be read ({e.strerror}); name a text file") from e
    except UnicodeDecodeError as e:
        raise BundleError(f"texts {file}: is not UTF-8 ({e}); save it as UTF-8") from e
    if not texts:
        raise BundleError(f"texts {file}: is empty; give it one text a line")
    return texts

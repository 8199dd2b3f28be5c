"""Properties files, as Java's clients and librdkafka's read them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from transforms.errors import ConfigurationError

#: `name=value`, `name: value` or `name value`.
_SETTING = re.compile(r"([^\s=:]+)(?:\s*[=:]\s*|\s+)(.*)", re.DOTALL)
_JAAS = re.compile(r"""(username|password)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;]+))""")
#: What Java ends a line at: `splitlines` knows more, which may stand in a password.
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def from_file(path: str) -> dict[str, str]:
    """The settings of a file, by the names in it.

    Raises:
        ConfigurationError: It can't be read, or a line is no setting; the line is not shown.
    """
    try:
        data = Path(path).read_bytes()
        # What Windows writes.
        utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if utf_16 else "utf-8-sig")
    except (OSError, ValueError) as e:
        raise ConfigurationError(f"can't read the Kafka settings file {path!r}: {e}") from None
    found: dict[str, str] = {}
    for number, line in _joined(_LINE_ENDS.split(text)):
        parts = _SETTING.fullmatch(line)
        if parts is None:
            raise ConfigurationError(
                f"{path}:{number} is no Kafka setting: write one name=value a line"
            )
        name, value = parts[1], parts[2].strip()
        if name == "sasl.jaas.config":
            for field, *quoted in _JAAS.findall(value):
                found[f"sasl_plain_{field}"] = next(filter(None, quoted), "")
        else:
            found[name] = value
    return found


def _joined(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines of a properties file, with their numbers.

    One that ends in a backslash goes on in the next, as in Java; two backslashes are none.
    """
    begun = ""
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not begun:
            first = number
            if not stripped or stripped[0] in "#!":
                continue
        if (len(stripped) - len(stripped.rstrip("\\"))) % 2:
            begun += stripped[:-1]
            continue
        yield first, begun + stripped
        begun = ""
    if begun:
        yield first, begun

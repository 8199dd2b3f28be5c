"""Routes: which categories go where."""

from __future__ import annotations

from pipeline.ends.end import Role
from pipeline.ends.settings import EndSettings
from transforms.errors import ConfigurationError
from transforms.writing import ITEMS, Share


def routes_of(ends: EndSettings) -> list[tuple[Share, Role, str]]:
    """Who writes what: routes first, and the sink takes what is left.

    Returns:
        Shares, the flags that ask for them, and URIs.

    Raises:
        ConfigurationError: A route is none, or there is neither route nor sink.
    """
    found: list[tuple[Share, Role, str]] = []
    taken: set[str] = set()
    for categories, uri in map(_route, ends.route):
        for category in categories:
            if category in taken:
                raise ConfigurationError(f"--route names category {category!r} twice: name it once")
            taken.add(category)
        found.append((Share(frozenset(categories)), Role.ROUTE, uri))
    if ends.sink is not None:
        found.append((ITEMS, Role.SINK, ends.sink))
    if not found:
        raise ConfigurationError("where categorized news goes is missing: give --sink, or --route")
    return found


def check_routes(ends: EndSettings, labels: tuple[str, ...]) -> None:
    """Checks that routes are of a model's categories, and lead all of them somewhere.

    Args:
        ends: The options.
        labels: The categories of the model.

    Raises:
        ConfigurationError: They don't.
    """
    routed = [category for categories, _ in map(_route, ends.route) for category in categories]
    for category in routed:
        if category not in labels:
            raise ConfigurationError(
                f"--route names category {category!r}, which the model does not know: it has "
                f"{', '.join(labels)}{_not_routable(labels)}"
            )
    left = [label for label in labels if label not in routed]
    if ends.sink is None and left:
        raise ConfigurationError(
            f"no route takes {', '.join(left)}: give one, or --sink for what no route takes"
        )


def _not_routable(labels: tuple[str, ...]) -> str:
    """What is to be said where labels hold what divides a route."""
    odd = [label for label in labels if "," in label or "=" in label]
    return f"; one with a comma or = in it, as {odd[0]!r}, goes to --sink only" if odd else ""


def _route(text: str) -> tuple[list[str], str]:
    names, equals, uri = text.partition("=")
    categories = [name.strip() for name in names.split(",")]
    if not equals or not all(categories) or not uri:
        raise ConfigurationError(
            f"--route {text!r} is none: write CATEGORY=URI, as in Sports=kafka://host:9092/sports"
        )
    return categories, uri

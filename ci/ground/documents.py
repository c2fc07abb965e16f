"""YAML as people write it here: values, no program. A short file must not exhaust a gate's memory or crash it.

Aliases grow without end when they are followed ("billion laughs", CWE-776), and the C loader answers a hundred
thousand open brackets with a segmentation fault (CWE-674).
"""

from collections.abc import Iterator
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same language, in C where it was built
DEEPEST = 20  # collections in collections; environments.yaml needs five


class _Unmerged(LOADER):  # type: ignore[misc, valid-type]
    """The loader without merges: `<<` is a key like another, for merges of aliases grow as aliases do."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave a mapping as it is."""


_Unmerged.add_constructor("tag:yaml.org,2002:merge", yaml.SafeLoader.construct_yaml_str)


def load(data: bytes | str, *, aliases: bool = False) -> Any:
    """Return what YAML says; YAMLError for every fault, for depth, and for aliases unless they are allowed.

    A caller that allows aliases must not walk a node twice, and gets merges as keys.
    """
    depth = 0
    try:
        # Decoded here: PyYAML would accept UTF-16, which no other reader does.
        text = data if isinstance(data, str) else data.decode()
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or (isinstance(event, yaml.AliasEvent) and not aliases):
                raise yaml.YAMLError("more than values")
        return yaml.load(text, Loader=_Unmerged if aliases else LOADER)  # noqa: S506, all are safe loaders
    except (ValueError, TypeError):  # no UTF-8, a day that no month has, a number of too many digits
        raise yaml.YAMLError("no value") from None


def unnamed(document: Any, where: str = "") -> Iterator[str]:
    """Yield the path of each field whose name is no text, such as 1 or null: Cerberus cannot sort those."""
    if isinstance(document, dict):
        for name, value in document.items():
            path = f"{where}.{name}" if where else str(name)
            yield from unnamed(value, path) if isinstance(name, str) else [path]
    elif isinstance(document, list):
        for value in document:
            yield from unnamed(value, where)

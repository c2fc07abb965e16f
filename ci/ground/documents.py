"""YAML as people write it here: values, no program. A short file must not exhaust a gate's memory or crash it.

Aliases grow without end when they are followed ("billion laughs", CWE-776), and the C loader answers a hundred
thousand open brackets with a segmentation fault (CWE-674). A name that stands twice has one value
to this reader and another to the next, or to a person (CWE-436).
"""

from collections.abc import Iterator
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same language, in C where it was built
DEEPEST = 20  # collections in collections; environments.yaml needs five


class _Loader(LOADER):  # type: ignore[misc, valid-type]
    """The loader for names that stand once, without merges: `<<` is a key like another.

    Merges of aliases grow as aliases do, and a merge gives a name a second value.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave a mapping as it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Return a mapping; YAMLError when a name stands twice in it, however each is written."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.YAMLError("a name stands twice")
        return mapping


_Loader.add_constructor("tag:yaml.org,2002:merge", yaml.SafeLoader.construct_yaml_str)


def load(data: bytes | str, *, aliases: bool = False) -> Any:
    """Return what YAML says, with merges as keys.

    YAMLError for every fault, for depth, for a name that stands twice, and for aliases unless they are allowed: a
    caller that allows them must not walk a node twice.
    """
    depth = 0
    try:
        # Decoded here: PyYAML would accept UTF-16, which no other reader does.
        text = data if isinstance(data, str) else data.decode()
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or (isinstance(event, yaml.AliasEvent) and not aliases):
                raise yaml.YAMLError("more than values")
        return yaml.load(text, Loader=_Loader)  # noqa: S506, all are safe loaders
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

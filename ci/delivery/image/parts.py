"""What an image is made of, as CycloneDX 1.6 JSON (https://cyclonedx.org/docs/1.6/json/)."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from email.parser import Parser
from typing import IO
from urllib.parse import quote

_NPM = re.compile(r"(^|/)node_modules/(@[^/]+/)?[^/]+/package\.json$")


@dataclass(frozen=True, order=True)
class Part:
    """One thing in an image: its package URL (https://github.com/package-url/purl-spec), and its licence."""

    kind: str  # pypi, npm or deb
    name: str
    version: str
    licence: str = ""

    @property
    def purl(self) -> str:
        """Return the package URL."""
        space = "deb/debian" if self.kind == "deb" else self.kind
        return f"pkg:{space}/{quote(self.name.lower(), safe='/')}@{quote(self.version, safe='')}"


def of(path: str, content: IO[bytes] | None) -> Iterable[Part]:
    """Return the parts that a file of an image describes; `content` is None for what is no regular file."""
    if content and path.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO")):
        return [python(content.read().decode(errors="replace"))]
    if content and path == "var/lib/dpkg/status":
        return debian(content.read().decode(errors="replace"))
    if content and _NPM.search(path):
        return npm(content.read())
    return []


def python(metadata: str) -> Part:
    """Return the part that a METADATA file of a Python package describes."""
    fields = Parser().parsestr(metadata, headersonly=True)
    licence = fields["License-Expression"] or fields["License"] or ""
    name = str(fields["Name"]).replace("_", "-")
    return Part("pypi", name, str(fields["Version"]), licence if "\n" not in licence else "")


def npm(manifest: bytes) -> Iterable[Part]:
    """Yield the part that a package.json describes; one without a name and a version is no package's."""
    try:
        fields = json.loads(manifest)
        licence = fields.get("license", "")
        yield Part("npm", fields["name"], fields["version"], licence if isinstance(licence, str) else "")
    except (ValueError, KeyError, AttributeError, TypeError):
        return


def debian(status: str) -> Iterable[Part]:
    """Yield the parts that dpkg's status file names."""
    for paragraph in status.split("\n\n"):
        fields = Parser().parsestr(paragraph, headersonly=True)
        if "installed" in str(fields["Status"]).split():
            yield Part("deb", str(fields["Package"]), str(fields["Version"]))


def dumps(parts: Iterable[Part]) -> str:
    """Return the parts as JSON."""
    return json.dumps([asdict(part) for part in sorted(parts)])


def loads(text: str) -> set[Part]:
    """Return the parts that `dumps` wrote."""
    return {Part(**fields) for fields in json.loads(text)}


def document(image: str, tag: str, when: str, parts: Iterable[Part]) -> str:
    """Return the document of the image with this id and tag, the same every time."""
    name, _, version = tag.partition(":")
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "timestamp": when,
                "component": {"type": "container", "bom-ref": image, "name": name, "version": version},
            },
            "components": [_component(part) for part in sorted(set(parts))],
        },
        indent=1,
    )


def described(document: str) -> str:
    """Return the id of the image that a document is of."""
    return str(json.loads(document)["metadata"]["component"]["bom-ref"])


def _component(part: Part) -> dict[str, object]:
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
    }
    return component | ({"licenses": [{"license": {"name": part.licence}}]} if part.licence else {})

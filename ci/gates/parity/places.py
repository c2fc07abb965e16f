"""Where environments and keys are named besides the matrix: sops' rules, workflows, Dockerfiles, compose files."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ci.gates.finding import Finding, finding
from ci.gates.parity import product, rules
from ci.gates.parity.matrix import content
from ci.ground import documents, generate
from ci.ground.errors import GateError
from ci.ground.repo import Repo

_TASK = re.compile(r"\binv(?:oke)?\b[^\n;&|]*?\s--(?:env|to)[= ]['\"]?([a-z][a-z0-9-]*)")
_CHOSEN = re.compile(r"--(?:env|to)[= ]['\"]?\$")  # when it runs: any environment may be meant
# Environments of GitHub that nothing is deployed to: places of publication, and who approves what gates.yml found.
_OTHERS = frozenset({"github-pages", "pypi", "testpypi", "code-owners"})
_DOCKERFILE = re.compile(r"(?i)(?:.+\.)?(?:dockerfile|containerfile)(?:\..+)?")
_COMPOSE = re.compile(r"(?i)(?:docker-)?(?:compose|stack)(?:[._-].+)?\.ya?ml")
_COMMENT = re.compile(r"""(?m)^[ \t]*#.*$|[ \t]#[^"'\n]*$""")
_WORKFLOW = re.compile(r"\.github/.+\.ya?ml|\.gitlab-ci\.ya?ml")


def environments(repo: Repo, workflows: Mapping[str, str]) -> Iterator[Finding]:
    """Yield each environment that is in one place and not in another."""
    known, shared = list(repo.environments.by_name), repo.environments.in_git
    for name in known:
        if not repo.exists(f"config/{name}.env"):
            yield _environment(f"config/{name}.env", name, "is not there")
        if name in shared and not repo.exists(f"secrets/{name}.enc.env"):
            yield _environment(f"secrets/{name}.enc.env", name, "is not there")
    for folder, ending in (("config", ".env"), ("secrets", ".enc.env")):
        for file in repo.names(folder):
            name = file.removesuffix(ending) or file
            if file.endswith(ending) and name not in (shared if folder == "secrets" else known):
                yield _environment(f"{folder}/{file}", name, "is of no environment in environments.yaml")
    yield from _ruled(repo, shared)
    yield from _deployed(workflows, known, shared)


def _ruled(repo: Repo, known: list[str]) -> Iterator[Finding]:
    text = content(repo, ".sops.yaml").decode(errors="replace") if repo.exists(".sops.yaml") else ""
    ruled = re.findall(r"(?m)^[^#\n]*path_regex:.*?secrets/([a-z0-9\\-]+?)\\?\.enc", text)
    named = [name.replace("\\", "") for name in ruled]
    yield from (_environment(".sops.yaml", name, "has no rule") for name in known if name not in named)
    for name in dict.fromkeys(named):
        if name not in known:
            yield _environment(".sops.yaml", name, "is ruled, and in no environments.yaml")


def _deployed(workflows: Mapping[str, str], known: list[str], shared: list[str]) -> Iterator[Finding]:
    """Compare what workflows deploy: nothing of another name, and every environment that is in git if any."""
    deployed: set[str] = set()
    for place, text in workflows.items():
        for name in sorted({*_TASK.findall(text), *_named(_document(place, text))} - _OTHERS):
            deployed.add(name)
            if name not in known:
                line = text.count("\n", 0, max(text.find(name), 0)) + 1
                yield _environment(place, name, "is in no environments.yaml", line)
    local = set(known) - set(shared)
    if deployed - local and not any(map(_CHOSEN.search, workflows.values())):
        place = ".github/workflows"
        missing = (name for name in shared if name not in deployed)
        yield from (_environment(place, name, "is in no workflow, and others are") for name in missing)


def _named(document: Any) -> Iterator[str]:
    """Yield what a workflow has under `environment`: of a job, of a matrix, or of an input's options."""
    nodes, ids = [document], set()
    while nodes:
        node = nodes.pop()
        if id(node) in ids:  # an alias of what was looked at
            continue
        ids.add(id(node))
        if isinstance(node, list):
            nodes += node
        elif isinstance(node, dict):
            if "environment" in node:
                words = _words(node["environment"])
                yield from (word for word in words if re.fullmatch(r"[a-z][a-z0-9-]*", word))
            nodes += node.values()


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = value.get("name", value.get("options", []))
    return [word for word in (value if isinstance(value, list) else [value]) if isinstance(word, str)]


def _document(place: str, text: str) -> Any:
    try:
        return documents.load(text, aliases=True)  # GitHub has them
    except yaml.YAMLError:
        raise GateError(f"{place} is not YAML", "fix it: what it deploys cannot be known") from None


def elsewhere(repo: Repo, texts: Mapping[str, str]) -> Iterator[Finding]:
    """Yield each key of the schema that a Dockerfile, a workflow or a compose file sets."""
    names = "|".join(sorted(repo.schema.keys, key=len, reverse=True))
    if not names:
        return
    sets = re.compile(rf"""(?m)(?:^|[\s"'{{,;&(|\[-])(?P<key>{names})(?:["']?\s*:(?:[ \t]|$)|["']?=)""")
    alone = re.compile(
        rf"""(?m)^[ \t]*(?:ENV[ \t]+(?P<env>{names})[ \t]|-[ \t]+["']?(?P<key>{names})["']?[ \t]*$)"""
    )
    for place, text in texts.items():
        clear = _COMMENT.sub("", text)
        pairs = set()
        for match in (*sets.finditer(clear), *alone.finditer(clear)):
            key = match["key"] or match["env"]
            line = clear.count("\n", 0, match.start(match.lastgroup or 0)) + 1
            if (key, line) not in pairs:
                pairs.add((key, line))
                yield finding(rules.ELSEWHERE, place, "is set here", key=key, line=line)


def stale(repo: Repo) -> Iterator[Finding]:
    """Yield each generated file that is not what the schema says now."""
    for place, make in generate.FILES.items():
        text = content(repo, place).decode(errors="replace") if repo.exists(place) else None
        if text != make(repo.declared.schema):
            yield finding(rules.STALE, place, "is not what config/schema.yaml says")


def files(repo: Repo) -> tuple[dict[str, str], dict[str, str]]:
    """Return the workflows, and everything else that could set a key: Dockerfiles and compose files, by place."""
    workflows, others = {}, {}
    for place in product.listed(repo):
        name = place.rpartition("/")[2]
        if _WORKFLOW.fullmatch(place):
            workflows[place] = content(repo, place).decode(errors="replace")
        elif _DOCKERFILE.fullmatch(name) or _COMPOSE.fullmatch(name):
            others[place] = content(repo, place).decode(errors="replace")
    return workflows, others


def _environment(place: str, name: str, fault: str, line: int = 1) -> Finding:
    return finding(rules.ENVIRONMENT, place, f"{name} {fault}", key=name, line=line).filled(name)

"""Rotations of an environment under messages: what becomes of each message, and which values a provider takes."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from ci import cli
from ci.ground import dotenv
from ci.rotation import providers, rotate
from ci.sealing import environment
from model.notification import WAITING
from runtime import Secret
from tests import figures, kills, load, services
from tests.checkouts import Clone
from tests.load import LONG

SMS, DATABASE, REDIS = "SMS_PROVIDER_API_KEY", "DATABASE_URL", "REDIS_URL"
KEYS = (SMS, DATABASE, REDIS)
TOKENS = "API_TOKENS"
BEHIND = tuple(f"behind {step.__name__}" for step in rotate.STEPS)
MOMENTS = tuple(f"{side} {step.__name__}" for step in rotate.STEPS for side in ("before", "behind"))
SLOW = (10, 1, 1)  # messages a second, by how many threads, and how many a second at least
PACE = (60, 8, 50) if LONG else SLOW  # more than the one worker of a `swarms.project` gets through
PATIENCE_SECONDS = 120  # for what waits in the queue when the last message is in


@dataclass(frozen=True)
class Environment:
    """An environment of a clone, the URL of its api, and the log of the sandbox that its worker sends to."""

    clone: Clone
    name: str
    url: str
    log: Path

    def values(self) -> dict[str, str]:
        """Return what is sealed."""
        return dotenv.parse(self.clone.inv("decrypt", f"--env={self.name}").encode())[0]

    def rotate(self, key: str, *more: str, code: int = 0) -> str:
        """Rotate a key, or go on with that."""
        return self.clone.inv("rotate", f"--env={self.name}", f"--key={key}", *more, code=code)

    def taken(self, key: str, *asked: str) -> list[bool | None]:
        """Ask the key's provider whether it takes these values."""
        plain = environment.plain(self.clone.repo, self.name)
        named = providers.named(self.clone.repo, self.name, key)
        provider = cli.follow(providers.of(self.clone.repo, named))
        job = providers.Job(self.name, self.clone.repo.schema.keys[key], plain, Secret(""), "")
        return [provider.admits(job, Secret(one)) for one in asked]

    def valid_keys(self) -> int:
        """Count the keys that the sandbox takes."""
        plain = environment.plain(self.clone.repo, self.name)
        name, _, word = self.values()[SMS].partition(":")
        answer = httpx.get(f"{plain['SMS_PROVIDER_URL']}/v1/keys", auth=(name, word)).raise_for_status()
        return sum(not one["revoked"] for one in answer.json()["keys"])

    @contextmanager
    def messages(self, about: str, pace: tuple[int, int, int] = PACE) -> Iterator[None]:
        """Have messages submitted for as long as the block runs: each is accepted, and is handed over, once."""
        rate, threads, enough = pace
        with load.messages(self.url, self.values()[TOKENS].partition(",")[0], rate, threads) as sent:
            yield
        url = self.values()[DATABASE]
        services.until(lambda: not set(_statuses(url, sent.accepted)) & set(WAITING), PATIENCE_SECONDS)
        handed = Counter(re.findall(r"delivered, (\S+) to its sender", self.log.read_text()))
        lost, twice = set(sent.accepted) - set(handed), {one for one in sent.accepted if handed[one] > 1}
        failed = len(sent.accepted) - _statuses(url, sent.accepted).get("sent", 0)
        told = (
            f"{len(sent.accepted)} messages, {sent.rate:.0f} a second, {len(lost)} lost, {failed} failed for good"
        )
        figures.tell(f"{about}: {told}, {len(twice)} doubled, {len(sent.refused)} refused")
        assert ([], set(), set(), 0) == (sent.refused, lost, twice, failed)
        assert sent.rate >= enough

    def killed(self, key: str, moments: tuple[str, ...]) -> list[str]:
        """Kill a rotation at each moment and go on with it each time; return all values that were sealed."""
        values = [self.values()[key]]
        for moment in moments:
            kills.rotation(self.clone, self.name, key, moment)
            self.rotate(key, "--yes", "--commit")
            values.append(self.values()[key])
        return values


def _statuses(url: str, identifiers: list[str]) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        asked = "SELECT status, count(*) FROM notifications WHERE id = ANY(%s::uuid[]) GROUP BY status"
        return {str(status): int(count) for status, count in connection.execute(asked, [identifiers])}

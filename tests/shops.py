"""A shop made with Django, gunicorn and Celery, in the place of the example."""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests import services, teams
from tests.teams import Team


@dataclass(frozen=True)
class Shop:
    """The team of a shop, and its key of several lines."""

    team: Team
    pem: str

    def orders(self, environment: str) -> list[tuple[str, bool]]:
        """Return the last orders, and whether they were sent."""
        listed = json.loads(self.team.ask(environment, "/orders/"))["orders"]
        return [(order["text"], order["sent"]) for order in listed]

    def sells(self, environment: str, text: str) -> bool:
        """Order something, wait until clock and worker have sent it, and say whether the key is whole."""
        self.team.ask(environment, "/orders/", text)
        services.until(lambda: (text, True) in self.orders(environment), 30)
        key = json.loads(self.team.ask(environment, "/orders/"))["key"]
        return bool(key == hashlib.sha256(self.pem.encode()).hexdigest())


@contextmanager
def shop(folder: Path, database: str, redis: str, *, engine: bool) -> Iterator[Shop]:
    """Django, gunicorn and Celery as their manuals have them; prod is on these servers."""
    pem = trustme.CA().private_key_pem.bytes().decode()
    values = {
        "DATABASE_URL": database.replace("postgresql://", "postgres://"),
        "REDIS_URL": redis,
        "STRIPE_SECRET_KEY": f"sk_test_{secrets.token_hex(16)}",
        "JWT_PRIVATE_KEY": pem,
    }
    with teams.team("shop", folder, engine=engine, **values) as made:
        yield Shop(made, pem)

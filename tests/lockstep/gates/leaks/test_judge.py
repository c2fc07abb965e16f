import random
import string

import pytest

from ci.gates.leaks import rules
from ci.gates.leaks.judge import Candidate, Judge
from ci.gates.leaks.lines import Lines
from ci.gates.leaks.names import Kind, kind
from tests import checkouts

SIGNS = string.ascii_letters + string.digits + "!@$%^&*()-_=+[]{}<>?.;:|~"


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(checkouts.schema().keys.values())


def test_passwords_with_signs(judge: Judge) -> None:
    """Whatever signs a random password has, an env file that holds it is stopped."""
    chosen = random.Random(1)
    lines, missed = Lines(judge.secret, ()), []
    for _ in range(500):
        password = chosen.choice(string.ascii_letters) + "".join(chosen.choice(SIGNS) for _ in range(19))
        text = f"SMTP_PASSWORD={password}\n".encode()
        if all(judge.dismisses(candidate) for candidate in lines.candidates(text, "a.env", [0])):
            missed.append(password)

    assert [] == missed


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("DB_PASSWORD", Kind.PASSWORD), ("dbPass", Kind.PASSWORD), ("redis-pwd", Kind.PASSWORD)),
        *(("apiKey", Kind.SECRET), ("client_secret", Kind.SECRET), ("TOKEN_2", Kind.SECRET), ("salt", Kind.KEY)),
        *(("password_field", Kind.NONE), ("tokenUrl", Kind.NONE), ("publicKey", Kind.NONE), ("bypass", Kind.NONE)),
        *(("idempotency_key", Kind.NONE), ("max_tokens", Kind.NONE), ("monkey", Kind.NONE), ("", Kind.NONE)),
    ],
)
def test_names(name: str, expected: Kind) -> None:
    """The words of a name say what its value is."""
    assert expected is kind(name)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "${PASSWORD}",
            "$PASSWORD",
            "{{ password }}",
            "%(password)s",
            "<your password>",
            "${A}:${B}",
            "changeme",
        ),
        *(
            "op://vault/item",
            "vault:secret/data/x#y",
            "arn:aws:iam::1:x",
            "/run/secrets/mail",
            "ENC[AES256_GCM,data:x]",
        ),
        *("Passwort", "Mot de passe", "Enter your password", "auth.password", "xxxxxxxxxx", "abcdefghij"),
    ],
)
def test_what_is_wholly_something_else(judge: Judge, value: str) -> None:
    """A placeholder, a reference, a name or prose is not a leak; the same as a part of a longer value is none."""
    alone = Candidate(rules.ASSIGNMENT, "password", value, 0, 0)
    within = Candidate(rules.ASSIGNMENT, "password", f"t7Kq{value.replace(' ', '')}9w!Zr4Xc2", 0, 0)

    assert judge.dismisses(alone)
    assert not judge.dismisses(within) or "xxxx" in value

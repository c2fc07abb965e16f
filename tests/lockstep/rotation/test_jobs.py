"""A job of the product as a provider: what it is asked, what it may answer, and what is shown of it."""

import json
import secrets
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from ci.ground import errors
from ci.ground.repo import Repo
from ci.rotation.providers import Job, job
from runtime import Secret
from tests import checkouts

KEY, MAIN = "SMS_PROVIDER_API_KEY", "ACME_MAIN_KEY"
FAULTS: dict[str, tuple[str, int, str]] = {  # what a job prints, its exit code, and what is said of it
    "nothing": ("", 0, "answered admits with nothing, exit code 0"),
    "nothing, and it fails": ("", 3, "answered admits with nothing, exit code 3"),
    "a text": ("it works", 0, "answered admits with something else than one JSON object"),
    "a list": ("[]", 0, "answered admits with something else than one JSON object"),
    "two objects": ("{} {}", 0, "answered admits with something else than one JSON object"),
    "no UTF-8": ("\udcff", 0, "answered admits with something else than one JSON object"),
    "too deep": ("[" * 100_000, 0, "answered admits with something else than one JSON object"),
    "no answer": ("{}", 0, "answered admits without valid"),
    "a wrong answer": ('{"valid": "yes"}', 0, "answered admits without valid"),
    "no reason": ("{}", 4, "the job sms-keys failed with 4"),
    "an answer of a failed job": ('{"valid": true}', 5, "the job sms-keys failed with 5"),
}


def asked() -> Job:
    """Return a rotation of a key."""
    about = checkouts.schema().keys[KEY]
    plain = {"SMS_PROVIDER": "acme", "PUBLIC_BASE_URL": "http://127.0.0.1:9"}
    old = Secret(f"SK{secrets.token_hex(16)}:{secrets.token_urlsafe(24)}")
    return Job("prod", about, plain, old, f"lockstep-{secrets.token_hex(8)}", leaked=True)


def provider(folder: Path, program: str = "", **about: Any) -> job.Provider:
    """Return the provider whose job is a program; a field of the job may be another."""
    repo = checkouts.empty(folder)
    (folder / "provider.py").write_text(dedent(program))
    path = folder / "config/schema.yaml"
    document = yaml.safe_load(path.read_bytes())
    document["jobs"]["sms-keys"] |= {"command": "python provider.py", **about}
    path.write_text(yaml.safe_dump(document))
    return job.Provider(Repo(repo.root), "sms-keys", {"PATH": str(Path(sys.executable).parent)})


def prints(text: str, code: int) -> str:
    """Return a program that prints a text and ends with a code."""
    data = text.encode(errors="surrogateescape")
    return f"import sys\nsys.stdin.read()\nsys.stdout.buffer.write({data!r})\nsys.exit({code})\n"


def test_what_it_is_asked(tmp_path: Path) -> None:
    """Every request names the rotation and the job's own plain keys, and holds the values that it is about."""
    program = """
        import json, sys
        request = json.load(sys.stdin)
        with open("asked", "a") as file:
            print(json.dumps(request), file=file)
        print(json.dumps({"make": {"value": "new"}, "admits": {"valid": None}}.get(request["ask"], {})))
    """
    made, about = provider(tmp_path, program), asked()
    new = made.make(about)
    made.admit(about, new)
    made.sweep(about)

    assert made.admits(about, new) is None
    assert new == made.revoke(about, about.old, new)
    common = {
        "environment": "prod",
        "key": KEY,
        "tag": about.tag,
        "leaked": True,
        "plain": {"SMS_PROVIDER": "acme"},
        "old": about.old.reveal(),
    }
    assert [
        {"ask": "make", **common},
        {"ask": "admit", **common, "new": "new"},
        {"ask": "sweep", **common},
        {"ask": "admits", **common, "value": "new"},
        {"ask": "revoke", **common, "value": about.old.reveal(), "by": "new"},
    ] == [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]


@pytest.mark.parametrize(("answer", "valid"), [("true", True), ("false", False), ("null", None)])
def test_whether_a_value_is_valid(tmp_path: Path, answer: str, valid: object) -> None:
    """It is, it is not, or nobody can be asked."""
    about = asked()

    assert valid is provider(tmp_path, prints(f'{{"valid": {answer}}}', 0)).admits(about, about.old)


def test_what_is_left_of_a_list(tmp_path: Path) -> None:
    """A job may answer revoke with the value that is to be sealed from now on."""
    about = asked()

    assert Secret("left") == provider(tmp_path, prints('{"value": "left"}', 0)).revoke(about, about.old, about.old)


def test_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It inherits what it declares and what every program may have, and no value is in its environment or argv."""
    for name in (MAIN, "SOPS_AGE_KEY"):
        monkeypatch.setenv(name, secrets.token_hex(16))
    program = """
        import json, os, sys
        request = json.load(sys.stdin)
        kept = [sys.argv, dict(os.environ), os.getcwd()]
        open("kept", "w").write(json.dumps(kept))
        print('{"valid": true}')
    """
    about = asked()
    provider(tmp_path, program, inherits=[MAIN]).admits(about, about.old)
    argv, environ, folder = json.loads((tmp_path / "kept").read_text())

    assert (["provider.py"], str(tmp_path)) == (argv, folder)
    assert MAIN in environ
    assert not {"SOPS_AGE_KEY", "SMS_PROVIDER"} & environ.keys()
    assert about.old.reveal() not in json.dumps([argv, environ])


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_an_answer(tmp_path: Path, fault: str) -> None:
    """It is a fault that says so and shows nothing of what was printed; it never counts as a refusal."""
    text, code, said = FAULTS[fault]
    about = asked()

    with pytest.raises(errors.ProviderError, match=said) as caught:
        provider(tmp_path, prints(text, code)).admits(about, about.old)

    assert not isinstance(caught.value, errors.KeyRefusedError)
    assert "it works" not in f"{caught.value} {caught.value.hint} {caught.value.detail}"


def test_a_value_is_needed(tmp_path: Path) -> None:
    """To make is to answer with a text that is not empty."""
    with pytest.raises(errors.ProviderError, match="answered make without a value"):
        provider(tmp_path, prints('{"value": ""}', 0)).make(asked())


@pytest.mark.parametrize(("refused", "error"), [("true", errors.KeyRefusedError), ("false", errors.ProviderError)])
def test_its_own_words(tmp_path: Path, refused: str, error: type[errors.ProviderError]) -> None:
    """The error and its hint are the job's, and say whether the key was refused."""
    text = f'{{"error": "acme does not know the key", "hint": "make another", "refused": {refused}}}'
    about = asked()

    with pytest.raises(error, match="acme does not know the key") as caught:
        provider(tmp_path, prints(text, 1)).admits(about, about.old)

    assert error is type(caught.value)
    assert "make another" == caught.value.hint


def test_no_value_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that hold a value, whole or in part, are shown without it, and so is what the job inherits."""
    monkeypatch.setenv(MAIN, secrets.token_hex(16))
    program = f"""
        import json, os, sys
        request = json.load(sys.stdin)
        words = [request["value"], request["old"].partition(":")[2], os.environ["{MAIN}"]]
        print("a traceback with", *words, file=sys.stderr)
        print(json.dumps({{"error": "bad " + words[0], "hint": "not " + words[2]}}))
        sys.exit(1)
    """
    about, value = asked(), Secret(secrets.token_urlsafe(24))

    with pytest.raises(errors.ProviderError) as caught:
        provider(tmp_path, program, inherits=[MAIN]).admits(about, value)

    assert ("bad ***", "not ***") == (str(caught.value), caught.value.hint)
    assert ("a traceback with *** *** ***",) == caught.value.detail


def test_what_is_printed_beside_a_new_value(tmp_path: Path) -> None:
    """Nobody can tell a new value from the other words of a job that failed to make one: none is shown."""
    program = prints("", 1).replace("sys.exit", "print('the new value', file=sys.stderr)\nsys.exit")

    with pytest.raises(errors.ProviderError) as caught:
        provider(tmp_path, program).make(asked())

    assert ("what it printed may hold the new value, and is not shown",) == caught.value.detail


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    """The program is named, and where it was declared."""
    about = asked()

    with pytest.raises(errors.ProviderError, match="there is no program no-such-program") as caught:
        provider(tmp_path, command="no-such-program").admits(about, about.old)

    assert "config/schema.yaml" in caught.value.hint


def test_a_job_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and what it was asked for is named."""
    monkeypatch.setattr(job, "SECONDS", 0.5)
    about = asked()

    with pytest.raises(errors.ProviderError, match=r"the job sms-keys did not answer admits within 0\.5 s"):
        provider(tmp_path, "import time; time.sleep(60)").admits(about, about.old)

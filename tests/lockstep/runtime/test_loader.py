import json
import os
import secrets
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import runtime
from tests import checkouts
from tests.lockstep.runtime import compiled

ROOT = Path(__file__).parents[3]
SCHEMA = checkouts.schema()


def complete(service: str) -> dict[str, str]:
    """Return an environment that `service` starts with; secrets are random."""
    special = {
        "DATABASE_URL": f"postgresql://lockstep:{secrets.token_urlsafe()}@db.internal:5432/lockstep",
        "REDIS_URL": f"rediss://:{secrets.token_urlsafe()}@redis.internal:6379/0",
        "API_TOKENS": secrets.token_urlsafe(32),
        "SMS_PROVIDER_API_KEY": f"SK{secrets.token_hex(16)}:{secrets.token_urlsafe(24)}",
        "SMTP_PASSWORD": secrets.token_urlsafe(),
    }
    return {key.name: special.get(key.name, key.meta["example"]) for key in SCHEMA.of(service)}


def refusal(service: str, environ: dict[str, str]) -> runtime.ConfigError:
    with pytest.raises(runtime.ConfigError) as caught:
        runtime.load(service, environ)
    return caught.value


@pytest.mark.parametrize("service", ["api", "worker"])
def test_every_example_of_the_schema_is_a_good_value(service: str) -> None:
    """The examples that the docs show start the service."""
    loaded = runtime.load(service, complete(service))

    assert {key.name.lower() for key in SCHEMA.of(service)} == vars(loaded).keys() - {"_service"}


def test_types_and_defaults() -> None:
    """Numbers are numbers, secrets are wrapped, and an absent key with a default has it."""
    environ = complete("worker") | {"SMTP_PORT": "587", "DELIVERY_TIMEOUT_SECONDS": "2.5"}
    del environ["WORKER_CONCURRENCY"]

    loaded = runtime.load("worker", environ)

    assert (587, 2.5, 4) == (loaded.smtp_port, loaded.delivery_timeout_seconds, loaded.worker_concurrency)
    assert environ["SMTP_PASSWORD"] == loaded.smtp_password.reveal()


def test_an_optional_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent it is None, set it is wrapped, and a bad value is refused as that of any other key."""
    name, environ = "SMTP_PASSWORD", complete("worker")
    optional = {**sys.modules["runtime.keys"].KEYS[name], "nullable": True, "default": None}
    monkeypatch.setitem(sys.modules["runtime.keys"].KEYS, name, optional)
    value = environ.pop(name)

    assert None is runtime.load("worker", environ).smtp_password
    assert value == runtime.load("worker", environ | {name: value}).smtp_password.reveal()
    assert [f"{name} is shorter than 8 characters"] == refusal("worker", environ | {name: "short"}).problems


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("WORKER_CONCURRENCY", "four", "WORKER_CONCURRENCY is not a whole number"),
        ("WORKER_CONCURRENCY", "4.0", "WORKER_CONCURRENCY is not a whole number"),
        ("WORKER_CONCURRENCY", " 4", "WORKER_CONCURRENCY is not a whole number"),
        ("WORKER_CONCURRENCY", "1_0", "WORKER_CONCURRENCY is not a whole number"),
        ("WORKER_CONCURRENCY", "٤", "WORKER_CONCURRENCY is not a whole number"),
        ("WORKER_CONCURRENCY", "4\n", "WORKER_CONCURRENCY is not a whole number"),
        ("WORKER_CONCURRENCY", "0", "WORKER_CONCURRENCY is below 1"),
        ("WORKER_CONCURRENCY", "9" * 400, "WORKER_CONCURRENCY is above 256"),
        ("WORKER_CONCURRENCY", "", "WORKER_CONCURRENCY is empty"),
        ("DELIVERY_TIMEOUT_SECONDS", "nan", "DELIVERY_TIMEOUT_SECONDS is not a number"),
        ("DELIVERY_TIMEOUT_SECONDS", "inf", "DELIVERY_TIMEOUT_SECONDS is not a number"),
        ("DELIVERY_TIMEOUT_SECONDS", "1e3", "DELIVERY_TIMEOUT_SECONDS is not a number"),
        ("DELIVERY_TIMEOUT_SECONDS", "%d", "DELIVERY_TIMEOUT_SECONDS is not a number"),
        ("LOG_LEVEL", "INFO", "LOG_LEVEL is none of debug, info, warning, error"),
        ("LOG_LEVEL", '"info"', "LOG_LEVEL is none of debug, info, warning, error"),
        ("LOG_LEVEL", "info # quiet", "LOG_LEVEL is none of debug, info, warning, error"),
        ("SMTP_TLS", "False", "SMTP_TLS is none of starttls, tls, off"),
        ("SMS_SENDER", "+0123", r"SMS_SENDER does not match (\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11})"),
        ("SMS_SENDER", "+14155550100 x", r"SMS_SENDER does not match (\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11})"),
        ("SMS_PROVIDER_URL", "ftp://h", "SMS_PROVIDER_URL is not a URL that starts with http:// or https://"),
        ("SMS_PROVIDER_URL", "https://", "SMS_PROVIDER_URL is not a URL that starts with http:// or https://"),
        ("SMS_PROVIDER_URL", "https://h:x", "SMS_PROVIDER_URL has a port that is not a number from 1 to 65535"),
        (
            "SMS_PROVIDER_URL",
            "https://h /x",
            "SMS_PROVIDER_URL has a character that no URL has: it is written as % and two hexadecimal digits",
        ),
        ("REDIS_URL", "$REDIS", "REDIS_URL is not a URL that starts with redis:// or rediss://"),
        ("DATABASE_URL", "postgres", "DATABASE_URL is not a URL that starts with postgresql://"),
        ("SMTP_PASSWORD", "short", "SMTP_PASSWORD is shorter than 8 characters"),
        ("SMTP_PASSWORD", "\udcff" * 9, "SMTP_PASSWORD is not UTF-8"),
    ],
)
def test_a_bad_value_is_named_by_its_key_alone(key: str, value: str, expected: str) -> None:
    """One bad value is one problem, which says what it should have been."""
    error = refusal("worker", complete("worker") | {key: value})

    assert [expected] == error.problems


@pytest.mark.parametrize(
    "value",
    [
        "p%40ss",
        "$HOME",
        "a#b",
        "a=b=c",
        "two words",
        'it\'s "q"',
        "pässwörd·ß",
        "ключ🔑",
        "x" * 10_000,
        "%(x)s{y}",
    ],
)
def test_a_strange_value_arrives_as_it_is(value: str) -> None:
    """Nothing is expanded, unquoted, cut or stripped."""
    environ = complete("worker") | {"SMTP_PASSWORD": value + "12345678"}

    assert value + "12345678" == runtime.load("worker", environ).smtp_password.reveal()


def test_all_problems_come_at_once_and_sorted() -> None:
    """A person can fix everything at once."""
    environ = complete("worker") | {"SMTP_PORT": "0", "LOG_LEVEL": "loud"}
    del environ["SMS_SENDER"]

    error = refusal("worker", environ)

    problems = [
        "LOG_LEVEL is none of debug, info, warning, error",
        "SMS_SENDER is not set",
        "SMTP_PORT is below 1",
    ]
    assert ("worker", problems) == (error.service, error.problems)
    assert "\n  ".join(["worker cannot start, its configuration has problems:", *problems]) == str(error)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("DATABSE_URL", "DATABASE_URL"), ("REDIS_URI", "REDIS_URL"), ("WORKER_CONCURENCY", "WORKER_CONCURRENCY")],
)
def test_a_near_miss_is_pointed_out(wrong: str, right: str) -> None:
    """A name with a slip is found, even where the key would have had a default."""
    environ = complete("worker")
    environ[wrong] = environ.pop(right)

    error = refusal("worker", environ)

    assert [f"{right} is not set, {wrong} is set, did you mean {right}?"] == error.problems


def test_another_key_of_the_schema_is_no_near_miss() -> None:
    """SMS_PROVIDER_URL is not taken for a slip of SMS_PROVIDER."""
    environ = complete("worker")
    del environ["SMS_PROVIDER"]

    error = refusal("worker", environ)

    assert ["SMS_PROVIDER is not set"] == error.problems


def test_a_name_that_is_only_alike_is_no_near_miss() -> None:
    """Half a name is the name of something else."""
    environ = complete("worker")
    environ["DATA_URL"] = environ.pop("DATABASE_URL")

    assert ["DATABASE_URL is not set"] == refusal("worker", environ).problems


def test_no_value_is_shown_however_the_error_is() -> None:
    """Message, repr, chained exceptions and traceback name keys, never values."""
    marker = secrets.token_hex(16)
    environ = dict.fromkeys(SCHEMA.keys, marker)

    error = refusal("worker", environ)

    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__cause__)
    assert marker not in shown
    assert error.__context__ is None


def test_a_service_gets_only_the_keys_that_name_it() -> None:
    """The api has no SMS key, even where it is in its environment."""
    loaded = runtime.load("api", complete("api") | complete("worker"))

    with pytest.raises(AttributeError, match="no key SMS_PROVIDER_API_KEY for the service api"):
        _ = loaded.sms_provider_api_key


def test_config_is_frozen() -> None:
    """Nothing in the process can change what it was started with."""
    loaded = runtime.load("api", complete("api"))

    with pytest.raises(AttributeError, match="frozen"):
        loaded.log_level = "debug"
    with pytest.raises(AttributeError, match="frozen"):
        del loaded.log_level


def test_a_config_is_shown_without_its_secrets() -> None:
    """Its repr names the service and every key in the order of the alphabet, and masks what is secret."""
    shown = repr(runtime.Config("api", {"LOG_LEVEL": "info", "API_TOKENS": runtime.Secret(secrets.token_hex(16))}))

    assert "Config(api: api_tokens=***, log_level='info')" == shown


def test_an_unknown_service_is_refused() -> None:
    """A slip in the service's name does not load an empty config."""
    error = refusal("apy", {})

    assert "apy" == error.service
    assert ["apy is no service, those are api, worker, sandbox, migrate, verify, sms-keys"] == error.problems


def test_no_file_of_values_is_read(tmp_path: Path) -> None:
    """An .env file beside the process changes nothing."""
    (tmp_path / ".env").write_text("LOG_LEVEL=debug\n")
    code = "import runtime, os; print(runtime.load('api').log_level)"
    environ = complete("api") | {
        "LOG_LEVEL": "error",
        "PYTHONPATH": str(compiled.folder()),
        "PATH": os.environ["PATH"],
    }

    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, check=True
    )

    assert b"error\n" == shown.stdout


def test_a_service_starts_with_the_standard_library_alone(tmp_path: Path) -> None:
    """Where nothing is installed, and nothing of this checkout is beside it, the runtime package is enough."""
    shutil.copytree(compiled.folder(), tmp_path, dirs_exist_ok=True)
    code = "import json, sys, runtime; runtime.load('api'); print(json.dumps(list(sys.modules)))"
    environ = complete("api") | {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}

    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, env=environ, capture_output=True, check=True
    )

    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert {"__main__", "runtime"} == loaded - sys.stdlib_module_names
    assert not {"dataclasses", "difflib", "typing"} & loaded


def test_ci_needs_no_keys() -> None:
    """What ci imports of the runtime works where runtime/keys.py is missing, broken or another product's."""
    code = "import sys, runtime, runtime.loader, runtime.rules; print('runtime.keys' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)

    assert b"False\n" == done.stdout

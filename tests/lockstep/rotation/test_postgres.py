"""Two roles of a database that take turns."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ci.delivery import servers
from ci.ground import errors, ports
from ci.rotation.providers import Job, postgres
from runtime import Secret
from tests import checkouts, services

pytestmark = pytest.mark.server


def with_login(url: str, user: str, password: str, database: str = "") -> str:
    parts = urlsplit(url)
    login = f"{quote(user, safe='')}:{password}@{parts.netloc.rpartition('@')[2]}"
    return parts._replace(netloc=login, path=f"/{database}" if database else parts.path).geturl()


def user(value: Secret) -> str:
    return unquote(str(urlsplit(value.reveal()).username))


def ask(url: str | Secret, statement: str) -> list[tuple[object, ...]]:
    text = url.reveal() if isinstance(url, Secret) else url
    with psycopg.connect(text, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def job_of(url: str) -> Job:
    about = checkouts.schema().keys["DATABASE_URL"]
    return Job("prod", about, {}, Secret(url), f"lockstep-{secrets.token_hex(8)}")


def given(job: Job) -> Secret:
    """Return a new value that is valid."""
    new = postgres.make(job)
    postgres.admit(job, new)
    return new


def role_in(postgres_url: str, attributes: str) -> Iterator[str]:
    """Make a role and a database of its own, and give the URL; both go in the end, and what was made of them."""
    role, password = f"app_{secrets.token_hex(4)}", secrets.token_urlsafe()
    ask(postgres_url, f"CREATE ROLE {role} LOGIN {attributes} PASSWORD '{password}'")
    ask(postgres_url, f"CREATE DATABASE {role} OWNER {role}")
    yield with_login(postgres_url, role, password, role)
    ask(postgres_url, f"DROP DATABASE {role} WITH (FORCE)")
    ask(postgres_url, f"DROP ROLE IF EXISTS {role}_b")
    ask(postgres_url, f"DROP ROLE {role}")


@pytest.fixture
def superuser(postgres_url: str) -> Iterator[Job]:
    """A rotation where the role is a superuser, as in `local`."""
    yield from map(job_of, role_in(postgres_url, "SUPERUSER"))


@pytest.fixture
def ordinary(postgres_url: str) -> Iterator[Job]:
    """A rotation where the role owns its database and may do nothing else."""
    yield from map(job_of, role_in(postgres_url, ""))


def sql_for_an_admin(job: Job) -> str:
    """Have it refused, and return the SQL that is for stdout then."""
    with pytest.raises(errors.ProviderError, match="is no superuser") as caught:
        postgres.make(job)
    return caught.value.output


def prepare(job: Job, postgres_url: str) -> None:
    """Run it in the job's database, as the superuser."""
    ask(
        urlsplit(postgres_url)._replace(path=f"/{user(job.old)}").geturl(),
        sql_for_an_admin(job),
    )


def test_old_and_new_are_valid_until_the_old_one_is_revoked(superuser: Job) -> None:
    """Both are taken, then the new one alone; each step may be done again and changes nothing."""
    new = given(superuser)
    postgres.admit(superuser, new)
    both = (postgres.admits(superuser, superuser.old), postgres.admits(superuser, new))
    stays = [postgres.revoke(superuser, superuser.old, new) for _ in range(2)]

    assert (True, True) == both
    assert [new, new] == stays
    assert (False, True) == (postgres.admits(superuser, superuser.old), postgres.admits(superuser, new))


@pytest.mark.parametrize(
    ("scheme", "query"),
    [
        ("postgres", ""),
        ("postgresql+psycopg", ""),
        ("postgresql+asyncpg", "ssl=prefer&prepared_statement_cache_size=0"),
        ("postgres+pool", "sslmode=disable&application_name=a%20b"),
        ("postgresql", "schema=public&connection_limit=5"),
    ],
)
def test_a_url_of_another_client(superuser: Job, scheme: str, query: str) -> None:
    """With a driver in its scheme, with parameters that libpq does not know; all of it stays in the new URL."""
    url = urlsplit(superuser.old.reveal())
    job = replace(superuser, old=Secret(url._replace(scheme=scheme, query=query).geturl()))

    new = given(job)
    both = (postgres.admits(job, job.old), postgres.admits(job, new))
    postgres.revoke(job, job.old, new)

    parts = urlsplit(new.reveal())
    assert (True, True) == both
    assert (False, True) == (postgres.admits(job, job.old), postgres.admits(job, new))
    assert (scheme, url.path, query) == (parts.scheme, parts.path, parts.query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ssl=verify-full", "verify-full"),
        ("ssl=true", "require"),
        ("pool=1&ssl=require", "require"),
        ("sslmode=verify-ca&ssl_min_protocol_version=TLSv1.3", "verify-ca"),
    ],
)
def test_tls_is_as_the_url_says(query: str, expected: str) -> None:
    """Whichever client's words it has: nothing is sent in clear because a word was not understood."""
    words = conninfo_to_dict(postgres._libpq(Secret(f"postgresql+asyncpg://a:b@127.0.0.1/d?{query}")))

    assert expected == words["sslmode"]


def test_the_roles_take_turns(superuser: Job) -> None:
    """The third value has the first one's role and another password; the rest of the URL stays."""
    second = given(superuser)
    postgres.revoke(superuser, superuser.old, second)
    job = replace(superuser, old=second)
    third = given(job)
    postgres.revoke(job, second, third)
    first_url, third_url = urlsplit(superuser.old.reveal()), urlsplit(third.reveal())

    assert (f"{first_url.username}_b", first_url.username) == (user(second), third_url.username)
    assert with_login(superuser.old.reveal(), "x", "x") == with_login(third.reveal(), "x", "x")
    assert (False, False, True) == tuple(postgres.admits(job, one) for one in (superuser.old, second, third))


def test_what_either_makes_is_usable_by_both(ordinary: Job, postgres_url: str) -> None:
    """A table of the first role can be changed by the second, and the second's own belong to the first, too."""
    ask(ordinary.old, "CREATE TABLE old (id int)")
    prepare(ordinary, postgres_url)
    new = given(ordinary)
    ask(new, "ALTER TABLE old ADD COLUMN more int")
    ask(new, "CREATE TABLE new (id int)")
    ask(ordinary.old, "ALTER TABLE new ADD COLUMN more int")

    owners = ask(new, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert [(user(ordinary.old),)] == owners


def test_an_admin_prepares_it_once(ordinary: Job, postgres_url: str) -> None:
    """Without rights of its own the SQL for an admin is shown; with it run, turn after turn needs nobody."""
    prepare(ordinary, postgres_url)
    job = ordinary
    for _ in range(3):
        new = given(job)
        postgres.revoke(job, job.old, new)
        assert (False, True) == (postgres.admits(job, job.old), postgres.admits(job, new))
        job = replace(job, old=new)


def test_the_admin_of_a_managed_server(postgres_url: str) -> None:
    """An admin that is no superuser, but made the role, can prepare it as well, and sessions end at revoke."""
    admin, role, word = f"admin_{secrets.token_hex(4)}", f"app_{secrets.token_hex(4)}", secrets.token_urlsafe()
    ask(postgres_url, f"CREATE ROLE {admin} LOGIN CREATEROLE CREATEDB PASSWORD '{word}'")
    managed = with_login(postgres_url, admin, word)
    ask(managed, f"CREATE ROLE {role} LOGIN PASSWORD '{word}'")
    ask(postgres_url, f"CREATE DATABASE {role} OWNER {role}")
    job = job_of(with_login(postgres_url, role, word, role))
    try:
        ask(with_login(postgres_url, admin, word, role), sql_for_an_admin(job))
        second = given(job)
        postgres.revoke(job, job.old, second)
        job = replace(job, old=second)
        third = given(job)
        with psycopg.connect(second.reveal(), autocommit=True) as session:
            postgres.revoke(job, second, third)
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        assert (False, True) == (postgres.admits(job, second), postgres.admits(job, third))
    finally:
        ask(postgres_url, f"DROP DATABASE {role} WITH (FORCE)")
        ask(postgres_url, f"DROP ROLE {role}_b, {role}")
        ask(postgres_url, f"DROP ROLE {admin}")


def test_sessions_last_until_revoke(superuser: Job) -> None:
    """A session of the old role goes on while both are valid, and is ended by revoke; the new one's stays."""
    with psycopg.connect(superuser.old.reveal(), autocommit=True) as old:
        new = given(superuser)
        old.execute("SELECT 1")
        with psycopg.connect(new.reveal(), autocommit=True) as session:
            postgres.revoke(superuser, superuser.old, new)

            assert (1,) == session.execute("SELECT 1").fetchone()
        with pytest.raises(psycopg.OperationalError):
            old.execute("SELECT 1")


def test_given_up(superuser: Job) -> None:
    """The new value can be revoked with the old one, and another try begins where the first did."""
    new = given(superuser)
    stays = postgres.revoke(superuser, new, superuser.old)
    again = given(superuser)

    assert superuser.old == stays
    assert (True, False, True) == tuple(postgres.admits(superuser, one) for one in (superuser.old, new, again))


def test_a_value_that_was_made_and_lost(superuser: Job) -> None:
    """A kill before the new value is kept leaves nothing that is valid; the next try makes another."""
    lost = postgres.make(superuser)
    postgres.sweep(superuser)
    found = given(superuser)

    assert lost != found
    assert (False, True) == (postgres.admits(superuser, lost), postgres.admits(superuser, found))


def test_silence_is_no_refusal(superuser: Job) -> None:
    """A database that cannot be reached, or is not there, is a fault and never the proof of a refusal."""
    url = superuser.old.reveal()
    word = str(urlsplit(url).password)
    for value in (services.refused_url(url), with_login(url, user(superuser.old), word, "nowhere")):
        with pytest.raises(errors.ProviderError, match="did not do what it was asked") as caught:
            postgres.admits(superuser, Secret(value))

        assert word not in str(caught.value)


def test_variables_of_other_databases(superuser: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libpq takes from somebody's shell does not decide how a service's database is reached."""
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGPASSWORD", "another's")

    assert postgres.admits(superuser, given(superuser))


def test_a_role_of_somebody_else(superuser: Job) -> None:
    """A role that happens to have the second one's name is left alone."""
    second = f"{user(superuser.old)}_b"
    ask(superuser.old, f"CREATE ROLE {second} LOGIN")

    with pytest.raises(errors.ProviderError, match="not known to take turns") as caught:
        postgres.make(superuser)

    ask(superuser.old, caught.value.hint.partition(": ")[2])
    assert second == user(given(superuser))


def test_a_name_that_ends_as_a_second_one(superuser: Job) -> None:
    """A role that is called so, but is nobody's second, is a first one."""
    name, word = f"{user(superuser.old)}_b", secrets.token_urlsafe()
    ask(superuser.old, f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{word}'")
    job = job_of(with_login(superuser.old.reveal(), name, word))
    try:
        assert f"{name}_b" == user(given(job))
    finally:
        ask(superuser.old, f"DROP OWNED BY {name}_b, {name} CASCADE")
        ask(superuser.old, f"DROP ROLE {name}_b")


def test_names_that_must_be_quoted(postgres_url: str) -> None:
    """Capitals, blanks and quotes in a role's name mean nothing to SQL."""
    role, word = f'O\'Neil "x" {secrets.token_hex(4)}', secrets.token_urlsafe()
    quoted = '"' + role.replace('"', '""') + '"'
    ask(postgres_url, f"CREATE ROLE {quoted} LOGIN SUPERUSER PASSWORD '{word}'")
    job = job_of(with_login(services.new_database(postgres_url), role, word))

    second = given(job)
    postgres.revoke(job, job.old, second)
    third = given(replace(job, old=second))

    assert (role, True, False) == (user(third), postgres.admits(job, third), postgres.admits(job, job.old))


def test_settings_of_the_role(superuser: Job) -> None:
    """A search_path that only the first role has would let the second look elsewhere: it is named."""
    first = user(superuser.old)
    ask(superuser.old, f"ALTER ROLE {first} SET search_path = elsewhere, public")

    with pytest.raises(errors.ProviderError, match=f"{first} has: search_path"):
        postgres.make(superuser)

    ask(superuser.old, f"ALTER ROLE {first}_b SET search_path = elsewhere, public")
    assert postgres.admits(superuser, given(superuser))


def test_the_function_gives_nobody_more(ordinary: Job, postgres_url: str) -> None:
    """It sets passwords of the two roles alone, and only for them; none can end itself."""
    prepare(ordinary, postgres_url)
    stranger, word = f"stranger_{secrets.token_hex(4)}", secrets.token_urlsafe()
    ask(postgres_url, f"CREATE ROLE {stranger} LOGIN PASSWORD '{word}'")
    first, outside = user(ordinary.old), with_login(ordinary.old.reveal(), stranger, word)
    call = f"SELECT {first}_rotation.password"
    verifier = "'SCRAM-SHA-256$4096:x'"
    try:
        for url, words in (
            (ordinary.old.reveal(), f"('{stranger}', {verifier})"),
            (ordinary.old.reveal(), f"('{first}_b', 'in clear')"),
            (ordinary.old.reveal(), f"('{first}', NULL)"),
            (outside, f"('{first}_b', {verifier})"),
        ):
            with pytest.raises((psycopg.errors.RaiseException, psycopg.errors.InsufficientPrivilege)):
                ask(url, call + words)
    finally:
        ask(postgres_url, f"DROP ROLE {stranger}")


def test_no_password_in_the_server_s_log(tmp_path: Path) -> None:
    """A server that logs every statement and every refusal knows no password."""
    url = f"postgresql://lockstep:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/lockstep"
    job, log = job_of(url), tmp_path / "log"
    with servers.serving(servers.postgres(url, tmp_path / "data", log)):
        for setting in ("log_statement = 'all'", "log_connections = on", "log_min_messages = debug1"):
            ask(url, f"ALTER SYSTEM SET {setting}")
        ask(url, "SELECT pg_reload_conf()")
        new = given(job)
        postgres.revoke(job, job.old, new)
        refused = postgres.admits(job, job.old)
    said = log.read_text()

    assert refused is False
    assert "SCRAM-SHA-256$" in said
    assert not [one for one in (job.old, new) if str(urlsplit(one.reveal()).password) in said]


def test_a_url_without_a_password() -> None:
    """What has no password, or has it elsewhere, cannot be rotated here; the message names the key alone."""
    with pytest.raises(errors.ProviderError, match="DATABASE_URL has no password"):
        postgres.make(job_of("postgresql://lockstep@127.0.0.1/lockstep"))

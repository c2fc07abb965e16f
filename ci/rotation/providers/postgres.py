"""Postgres: two roles take turns, `name` and `name_b`, so that two passwords are valid during the change.

The first of them, whose tables exist already, always owns everything. The second is a member of it and acts as it
from its first statement (`ALTER ROLE … SET role`): migrations may be run with either, and both can use what they
make. Revoked means NOLOGIN, no password, and no session that is left.

Two roles that could each alter the other would be members of each other, which Postgres refuses (from 16 on, a
role that alters another must be a member of it). A function alters both, with the rights of its owner. The first
rotation installs it if the role is a superuser, as in `local`; otherwise an admin does, once, with the SQL that is
printed: a superuser, or on a managed server the role that made ours (CREATEROLE, from 16 on ADMIN on it).

Passwords reach no log of the server: it gets SCRAM verifiers, computed here. That a password was refused is read
from the server's message, because libpq gives no code; if lc_messages is not English, it is reported as a fault.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from ci.ground import errors
from ci.rotation import urls
from ci.rotation.providers import Job
from runtime import Secret

gap = ""
LONGEST = 50  # bytes of a role's name: Postgres cuts identifiers at 63, and ours are longer than the role's
MARK = "lockstep: takes turns with "  # the second role's comment; a role without it is not ours
_WORDS = {option.keyword.decode() for option in Conninfo.get_defaults()}
REFUSED = ("authentication failed", "is not permitted to log in")
CREATE = sql.SQL("CREATE ROLE {second};\n")
SET_UP = sql.SQL("""\
DO $lockstep$ BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    GRANT {second} TO CURRENT_USER;
  END IF;
END $lockstep$;
GRANT {first} TO {second};
ALTER ROLE {second} SET role = {first_name};
COMMENT ON ROLE {second} IS {mark};
CREATE SCHEMA IF NOT EXISTS {schema};
GRANT USAGE ON SCHEMA {schema} TO {first};
CREATE OR REPLACE FUNCTION {schema}.password(which name, verifier text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockstep$
BEGIN
  IF which NOT IN ({first_name}, {second_name}) OR verifier NOT LIKE 'SCRAM-SHA-256$%' THEN
    RAISE 'another role than those that take turns, or no verifier';
  ELSIF verifier IS NOT NULL THEN
    EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', which, verifier);
  ELSIF which = session_user THEN
    RAISE 'a role that takes turns ends the other one, never itself';
  ELSE
    EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', which);
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = which;
  END IF;
END $lockstep$;
REVOKE ALL ON FUNCTION {schema}.password(name, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.password(name, text) TO {first};
""")
SETTINGS = """
WITH settings AS (
  SELECT setrole::regrole::text AS role, setdatabase, unnest(setconfig) AS setting FROM pg_db_role_setting
), named AS (SELECT quote_ident(%(first)s) AS first, quote_ident(%(second)s) AS second)
SELECT split_part(setting, '=', 1) FROM (
  SELECT setdatabase, setting FROM settings, named WHERE role = first
  EXCEPT SELECT setdatabase, setting FROM settings, named WHERE role = second
) missing
"""


def make(job: Job) -> Secret:
    """Return the URL with the other role and a new password; it is not valid yet, so losing it does no harm."""
    user = urls.login(job.key, job.old).user
    with _connected(job.old) as connection:
        first, second = _pair(connection, user)
        _set_up(connection, first, second)
        _same_settings(connection, first, second)
    return urls.renewed(job.old, second if user == first else first)


def admit(job: Job, new: Secret) -> None:
    """Give the other role its password and let it log in; the old role's password does not change."""
    login = urls.login(job.key, new)
    with _connected(job.old) as connection:
        words = (login.password.reveal().encode(), login.user.encode(), b"scram-sha-256")
        verifier = connection.pgconn.encrypt_password(*words).decode()
        _password(connection, urls.login(job.key, job.old).user, login.user, verifier)


def admits(job: Job, value: Secret) -> bool:  # noqa: ARG001, the URL says all
    """Log in and ask for nothing."""
    try:
        with _session(value) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and any(words in str(error) for words in REFUSED):
            return False
        raise _fault(error) from None
    return True


def revoke(job: Job, value: Secret, by: Secret) -> Secret:
    """Shut one role out with the other one, and end its sessions."""
    role, user = urls.login(job.key, value).user, urls.login(job.key, by).user
    with _connected(by) as connection:
        # Twice: the second call ends sessions that began before the first was committed.
        for _ in range(2):
            _password(connection, user, role, None)
    return by


def sweep(job: Job) -> None:
    """Do nothing: a password is kept before it becomes valid."""


def _pair(connection: psycopg.Connection, user: str) -> tuple[str, str]:
    """Return the first role and the second; ProviderError when the second's name belongs to another role."""
    name = user.removesuffix("_b")
    first = name if _comment(connection, user) == MARK + name else user
    second = f"{first}_b"
    if len(first.encode()) > LONGEST:
        raise errors.ProviderError(f"the role's name is longer than {LONGEST} bytes", "give it a shorter one")
    if _comment(connection, second) not in (None, MARK + first):
        hint = f"rename it, or if it is free for this: COMMENT ON ROLE {second} IS '{MARK}{first}'"
        raise errors.ProviderError(f"the role {second} is there and not known to take turns with {first}", hint)
    return first, second


def _comment(connection: psycopg.Connection, role: str) -> str | None:
    """Return what a role's comment says, empty when it has none, None when there is no such role."""
    query = "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = %s"
    row = connection.execute(query, [role]).fetchone()
    return str(row[0]) if row else None


def _set_up(connection: psycopg.Connection, first: str, second: str) -> None:
    """Make the second role and the function unless they exist; ProviderError shows the SQL for an admin."""
    exists = _comment(connection, second) is not None
    function = sql.Identifier(_schema(first), "password").as_string(connection)
    usable = "SELECT has_function_privilege(to_regprocedure(%s), 'EXECUTE')"
    if exists and _one(connection, usable, f"{function}(name, text)"):
        return
    text = SET_UP.format(
        first=sql.Identifier(first),
        second=sql.Identifier(second),
        first_name=sql.Literal(first),
        second_name=sql.Literal(second),
        mark=sql.Literal(MARK + first),
        schema=sql.Identifier(_schema(first)),
    )
    if not exists:
        text = CREATE.format(second=sql.Identifier(second)) + text
    if not _one(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        database = _one(connection, "SELECT current_database()")
        raise errors.ProviderError(
            f"{first} is no superuser and cannot have a second role that takes turns with it",
            f"have an admin run the SQL on stdout in the database {database}, once; then the same command goes on",
            output=text.as_string(connection),
        )
    connection.execute(text)  # all of it in one transaction


def _same_settings(connection: psycopg.Connection, first: str, second: str) -> None:
    """Raise ProviderError when the first role has settings, such as a search_path, that the second has not."""
    rows = connection.execute(SETTINGS, {"first": first, "second": second}).fetchall()
    if rows:
        names = ", ".join(sorted({str(name) for (name,) in rows}))
        hint = f"ALTER ROLE {second} SET … as it is for {first}, then the same command goes on"
        raise errors.ProviderError(f"the role {second} lacks settings that {first} has: {names}", hint)


def _password(connection: psycopg.Connection, user: str, which: str, verifier: str | None) -> None:
    """Call the function; `user` is who is logged in."""
    schema = sql.Identifier(_schema(_pair(connection, user)[0]))
    connection.execute(sql.SQL("SELECT {}.password(%s, %s)").format(schema), [which, verifier])


def _schema(first: str) -> str:
    return f"{first}_rotation"


def _one(connection: psycopg.Connection, statement: str, *values: str) -> object:
    row = connection.execute(statement.encode(), values or None).fetchone()
    return row[0] if row else None


@contextmanager
def _connected(value: Secret) -> Iterator[psycopg.Connection]:
    """Yield a session of a role; ProviderError for every fault in it."""
    try:
        with _session(value) as connection:
            yield connection
    except psycopg.Error as error:
        raise _fault(error) from None


def _session(value: Secret) -> psycopg.Connection:
    # sslmode is explicit, or PGSSLMODE, set for this user's other databases, would apply; services do not see it.
    words = make_conninfo("", **{"sslmode": "prefer", "connect_timeout": 10, **conninfo_to_dict(_libpq(value))})
    return psycopg.connect(words, autocommit=True, application_name="lockstep rotate")


def _libpq(value: Secret) -> str:
    """Return a URL as libpq takes it: without a driver in its scheme, and without what only other clients know.

    `ssl` is asyncpg's word for `sslmode`, with the same values; other clients write ssl=true.
    """
    start, _, query = value.reveal().partition("?")
    scheme, _, rest = start.partition("://")
    query = re.sub(r"\bssl=(true\b)?", lambda match: "sslmode=require" if match[1] else "sslmode=", query)
    known = "&".join(pair for pair in query.split("&") if pair.partition("=")[0] in _WORDS)
    return f"{scheme.partition('+')[0]}://{rest}?{known}"


def _fault(error: psycopg.Error) -> errors.ProviderError:
    """Return an error without the server's message, which may hold a value."""
    what = f"{type(error).__name__}, {error.sqlstate}" if error.sqlstate else type(error).__name__
    return errors.ProviderError(
        f"the database did not do what it was asked, {what}",
        "is it up, reached from here, and does it take the old password? its log shows more",
    )

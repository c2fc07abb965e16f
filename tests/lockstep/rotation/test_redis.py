"""Two passwords of a user of Redis."""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis as client
from redis.backoff import NoBackoff
from redis.retry import Retry

from ci.delivery import servers
from ci.ground import errors, ports
from ci.rotation.providers import Job, redis
from runtime import Secret
from tests import checkouts, redises, services

pytestmark = pytest.mark.server


def job_of(url: str, environment: str = "local") -> Job:
    about = checkouts.schema().keys["REDIS_URL"]
    return Job(environment, about, {}, Secret(url), f"lockstep-{secrets.token_hex(8)}")


def password(value: Secret) -> str:
    return str(urlsplit(value.reveal()).password)


def connection(value: Secret) -> client.Redis:
    return client.Redis.from_url(value.reveal(), retry=Retry(NoBackoff(), 0), decode_responses=True)


def given(job: Job) -> Secret:
    """Return a new value that is valid."""
    new = redis.make(job)
    redis.admit(job, new)
    return new


def rotated(job: Job) -> Secret:
    """Return the value that has taken the old one's place."""
    new = given(job)
    redis.revoke(job, job.old, new)
    return new


@pytest.fixture(params=["", "worker"], ids=["default", "named"])
def job(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Job]:
    """A rotation of the Redis that the local engine starts, without a user in the URL and with one."""
    url = redises.url(request.param)
    with servers.serving(servers.redis(url, tmp_path / "data", tmp_path / "log")):
        yield job_of(url)


def with_aclfile(folder: Path, url: str) -> tuple[str, ...]:
    digest = hashlib.sha256(str(urlsplit(url).password).encode()).hexdigest()
    (folder / "users.acl").write_text(f"user default on #{digest} ~* &* +@all\n")
    return (f"aclfile {folder / 'users.acl'}",)


def test_old_and_new_are_valid_until_the_old_one_is_revoked(job: Job) -> None:
    """Both are taken, then the new one alone; each step may be done again and changes nothing."""
    new = given(job)
    redis.admit(job, new)
    both = (redis.admits(job, job.old), redis.admits(job, new))
    stays = [redis.revoke(job, job.old, new) for _ in range(2)]

    assert (True, True) == both
    assert [new, new] == stays
    assert (False, True) == (redis.admits(job, job.old), redis.admits(job, new))
    assert job.old.reveal().replace(password(job.old), password(new)) == new.reveal()


def test_a_valkey_url(job: Job) -> None:
    """Its scheme stays in the new value."""
    job = replace(job, old=Secret(job.old.reveal().replace("redis://", "valkey://")))

    new = given(job)
    redis.revoke(job, job.old, new)

    assert new.reveal().startswith("valkey://")
    assert (False, True) == (redis.admits(job, job.old), redis.admits(job, new))


def test_connections_end_at_revoke_and_come_back(job: Job) -> None:
    """One that came in with the old password is ended; who has the new one is let in again."""
    with connection(job.old) as old:
        old.ping()
        new = given(job)
        with client.Redis.from_url(new.reveal(), retry=Retry(NoBackoff(), 1)) as current:
            current.ping()
            redis.revoke(job, job.old, new)

            assert current.ping()
        with pytest.raises(client.ConnectionError):
            old.ping()


def test_given_up(job: Job) -> None:
    """The new value can be revoked with the old one."""
    new = given(job)
    stays = redis.revoke(job, new, job.old)

    assert job.old == stays
    assert (True, False) == (redis.admits(job, job.old), redis.admits(job, new))


def test_a_value_that_was_made_and_lost(job: Job) -> None:
    """A kill before the new value is kept leaves nothing that is valid; the next try makes another."""
    lost = redis.make(job)
    redis.sweep(job)
    found = given(job)

    assert lost != found
    assert (False, True) == (redis.admits(job, lost), redis.admits(job, found))


def test_silence_is_no_refusal(job: Job) -> None:
    """A Redis that cannot be reached is a fault, never the proof that a password is refused."""
    gone = Secret(job.old.reveal().replace(str(urlsplit(job.old.reveal()).port), str(ports.free())))

    with pytest.raises(errors.ProviderError, match="redis cannot be asked, ConnectionError") as caught:
        redis.admits(job, gone)

    assert password(job.old) not in f"{caught.value} {caught.value.hint}"


def test_hashes_alone_are_sent(job: Job) -> None:
    """The server's own list of slow commands, with every command in it, shows no password."""
    with connection(job.old) as old:
        old.config_set("slowlog-log-slower-than", 0)
        old.config_set("slowlog-max-len", 1000)
        new = rotated(job)
    with connection(new) as current:
        said = str(current.slowlog_get(1000))

    assert "SETUSER" in said
    assert not [one for one in (job.old, new) if password(one) in said]


def test_local_starts_again_with_the_sealed_one(tmp_path: Path) -> None:
    """After a rotation and a restart, the new password is valid as before, and the old one still is not."""
    url = redises.url()
    job = job_of(url)
    with servers.serving(servers.redis(url, tmp_path / "data", tmp_path / "log")):
        with connection(job.old) as old:
            old.set("kept", "1")
        new = rotated(job)
        servers.stop(tmp_path / "data")
        servers.start(servers.redis(new.reveal(), tmp_path / "data", tmp_path / "log"))

        with connection(new) as current:
            assert "1" == current.get("kept")
        assert (False, True) == (redis.admits(job, job.old), redis.admits(job, new))
        assert new == redis.revoke(job, job.old, new)


@pytest.mark.parametrize("more", [lambda _folder, _url: (), with_aclfile], ids=["config file", "aclfile"])
def test_what_a_restart_leaves(tmp_path: Path, more: Callable[[Path, str], tuple[str, ...]]) -> None:
    """With a config file or an aclfile both passwords are known after a restart, and later the new one alone."""
    url = redises.url()
    job, settings = job_of(url, "prod"), more(tmp_path, url)
    with redises.running(tmp_path, url, *settings):
        new = given(job)
    with redises.running(tmp_path, url):
        both = (redis.admits(job, job.old), redis.admits(job, new))
        redis.revoke(job, job.old, new)
    with redises.running(tmp_path, url):
        assert (True, True) == both
        assert (False, True) == (redis.admits(job, job.old), redis.admits(job, new))


def test_a_redis_that_would_forget(tmp_path: Path) -> None:
    """One with neither file, that is not `local`'s, is refused before anything is changed."""
    url = redises.url()
    with (
        servers.serving(servers.redis(url, tmp_path / "data", tmp_path / "log")),
        pytest.raises(errors.ProviderError, match="would forget") as caught,
    ):
        redis.make(job_of(url, "prod"))

    assert "aclfile" in caught.value.hint


def test_a_redis_with_a_replica(tmp_path: Path) -> None:
    """The users of a replica are its own: it would know no new password when it takes over."""
    url, other = redises.url(), redises.url()
    main = servers.redis(url, tmp_path / "main", tmp_path / "log")
    replica = servers.redis(other, tmp_path / "replica", tmp_path / "log")
    with servers.serving(main), servers.serving(replica), connection(Secret(other)) as second:
        second.config_set("masterauth", str(urlsplit(url).password))
        second.replicaof("127.0.0.1", str(urlsplit(url).port))
        with connection(Secret(url)) as first:
            services.until(lambda: first.info("replication")["connected_slaves"])

        for one in (url, other):
            with pytest.raises(errors.ProviderError, match="has replicas or is a cluster"):
                redis.make(job_of(one))


def test_a_user_that_may_not(job: Job) -> None:
    """One without the right to change users is told which ones it needs."""
    user, word = "clerk", secrets.token_urlsafe()
    with connection(job.old) as admin:
        admin.acl_setuser(user, enabled=True, passwords=f"+{word}", categories=["+@all"], commands=["-acl"])
    parts = urlsplit(job.old.reveal())
    clerk = replace(job, old=Secret(parts._replace(netloc=f"{user}:{word}@127.0.0.1:{parts.port}").geturl()))

    with pytest.raises(errors.ProviderError, match="redis refused what it was asked, NoPermissionError") as caught:
        given(clerk)

    assert "+acl +config|rewrite +client|kill" in caught.value.hint


def test_a_url_without_a_password() -> None:
    """What has no password cannot be rotated here; the message names the key alone."""
    with pytest.raises(errors.ProviderError, match="REDIS_URL has no password"):
        redis.make(job_of("redis://127.0.0.1:6379/0"))

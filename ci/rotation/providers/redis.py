"""Redis: a user may have several passwords (ACL), so the URL's own user has the new one beside the old one.

Only hashes of passwords are sent for that. Revoking ends every connection of the user, for Redis does not know
which password one came in with; who has the new one comes back at once. The user needs `+acl`, `+config|rewrite`,
`+client|kill` and `+info`.

After a restart Redis knows the users of its aclfile, or those of its config file, into which CONFIG REWRITE puts
them: whichever it has is written at each change, and a Redis that can write neither is refused, because it would
come back with what it was started with. The one of `local` is such a Redis, and may be: `inv deploy` starts it
with the sealed password. When it restarts within a rotation, the value that is not the sealed one is gone. Before
`seal` that is the new one: the deploy says so, and after `inv stop` the same command goes on. After it that is the
old one: `revoke` has nothing left to do. Replicas, and the nodes of a cluster, have users of their own: such a
Redis is refused, too.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry

from ci.ground import errors
from ci.rotation import urls
from ci.rotation.providers import Job
from runtime import Secret

gap = ""
DEFAULT = "default"  # the user of a URL without one


def make(job: Job) -> Secret:
    """Return the URL with a new password; nothing is valid yet, so a lost one is no harm."""
    login = urls.login(job.key, job.old)
    with _connected(job.old) as client:
        _alone(client)
        _keep(job, client)
    return urls.renewed(job.old, login.user)


def admit(job: Job, new: Secret) -> None:
    """Give the user the new password beside the old one."""
    with _connected(job.old) as client:
        client.acl_setuser(_user(job), enabled=True, hashed_passwords=f"+{_hash(job, new)}")
        _keep(job, client)


def admits(job: Job, value: Secret) -> bool:  # noqa: ARG001, the URL says all
    """Log in and ask for nothing."""
    with _client(value) as client:
        try:
            client.ping()
        except AuthenticationError:
            return False
        except RedisError as error:
            raise _fault(error) from None
    return True


def revoke(job: Job, gone: Secret, by: Secret) -> Secret:
    """Take one password from the user and end its connections; one that it has no more is no fault."""
    with _connected(by) as client:
        try:
            client.acl_setuser(_user(job), enabled=True, hashed_passwords=f"-{_hash(job, gone)}")
        except ResponseError as error:
            if "does not exist" not in str(error):
                raise
        _keep(job, client)
        client.client_kill_filter(user=_user(job), skipme=True)
    return by


def sweep(job: Job) -> None:
    """Do nothing: a password is kept before it becomes valid."""


def _keep(job: Job, client: redis.Redis) -> None:
    """Have the server write its users down; ProviderError when it has nowhere to.

    One that a deploy starts on this machine is given the password at each start, and is not asked.
    """
    if "{port}" in (job.about.generator(job.environment) or ""):
        return
    try:
        client.acl_save()
    except ResponseError as error:
        if "not configured" not in str(error):
            raise
    else:
        return
    try:
        client.config_rewrite()
    except ResponseError:
        raise errors.ProviderError(
            "redis would forget a new password at its next restart",
            "give it an aclfile or a config file that it can write, or let the schema's provider be manual",
        ) from None


def _alone(client: redis.Redis) -> None:
    about = client.info("replication")
    if about["connected_slaves"] or about["role"] != "master" or client.info("cluster")["cluster_enabled"]:
        raise errors.ProviderError(
            "redis has replicas or is a cluster, and each node has users of its own",
            "give all of them the new password by hand: let the schema's provider be manual",
        )


def _user(job: Job) -> str:
    return urls.login(job.key, job.old).user or DEFAULT


def _hash(job: Job, value: Secret) -> str:
    return hashlib.sha256(urls.login(job.key, value).password.reveal().encode()).hexdigest()


@contextmanager
def _connected(value: Secret) -> Iterator[redis.Redis]:
    """Yield a client; ProviderError for whatever goes wrong with it."""
    with _client(value) as client:
        try:
            yield client
        except RedisError as error:
            raise _fault(error) from None


def _client(value: Secret) -> redis.Redis:
    return redis.Redis.from_url(value.reveal(), socket_timeout=10, retry=Retry(NoBackoff(), 0))


def _fault(error: RedisError) -> errors.ProviderError:
    """Return what is known without the server's words, which may hold a value."""
    if isinstance(error, ResponseError):
        hint = "its user needs +acl +config|rewrite +client|kill +info; a managed one has the provider manual"
        return errors.ProviderError(f"redis refused what it was asked, {type(error).__name__}", hint)
    hint = "is it up, reached from here, and does it take the old password?"
    return errors.ProviderError(f"redis cannot be asked, {type(error).__name__}", hint)

"""Redis: a user may have several passwords (ACL), so the URL's own user has the new one beside the old one.

Only hashes of passwords are sent for that. Revoking ends every connection of the user, because Redis does not know
which password a connection used; clients with the new one reconnect at once. The user needs `+acl`,
`+config|rewrite`, `+client|kill` and `+info`.

After a restart Redis knows the users of its aclfile, or those that CONFIG REWRITE wrote into its config file. The
file that it has is written at each change. A Redis that can write neither is refused, because it would restart
with its old users. Only the one of `local` may be such a Redis: `inv deploy` starts it with the sealed password.
If it restarts within a rotation, it loses the value that is not sealed. Before `seal` that is the new value: the
deploy says so, and after `inv stop` the same command continues. After `seal` that is the old value: `revoke` has
nothing left to do. Replicas, and the nodes of a cluster, have users of their own: such a Redis is refused.
"""

import hashlib
import re
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
    """Return the URL with a new password; it is not valid yet, so losing it does no harm."""
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


def revoke(job: Job, value: Secret, by: Secret) -> Secret:
    """Remove one password of the user and end its connections; a password that does not exist is not a fault."""
    with _connected(by) as client:
        try:
            client.acl_setuser(_user(job), enabled=True, hashed_passwords=f"-{_hash(job, value)}")
        except ResponseError as error:
            if "does not exist" not in str(error):
                raise
        _keep(job, client)
        client.client_kill_filter(user=_user(job), skipme=True)
    return by


def sweep(job: Job) -> None:
    """Do nothing: a password is kept before it becomes valid."""


def _keep(job: Job, client: redis.Redis) -> None:
    """Have the server write its users to its file; ProviderError when it has none.

    A server that a deploy starts on this machine gets the password at each start, and is not asked to.
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
    replication = client.info("replication")
    replicated = replication["connected_slaves"] or replication["role"] != "master"
    if replicated or client.info("cluster")["cluster_enabled"]:
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
    """Yield a client; ProviderError for every fault of it."""
    with _client(value) as client:
        try:
            yield client
        except RedisError as error:
            raise _fault(error) from None


def _client(value: Secret) -> redis.Redis:
    url = re.sub(r"\Avalkey(s?)://", r"redis\1://", value.reveal())  # a name of its own for the same protocol
    return redis.Redis.from_url(url, socket_timeout=10, retry=Retry(NoBackoff(), 0))


def _fault(error: RedisError) -> errors.ProviderError:
    """Return an error without the server's message, which may hold a value."""
    if isinstance(error, ResponseError):
        hint = "its user needs +acl +config|rewrite +client|kill +info; a managed one has the provider manual"
        return errors.ProviderError(f"redis refused what it was asked, {type(error).__name__}", hint)
    hint = "is it up, reached from here, and does it take the old password?"
    return errors.ProviderError(f"redis cannot be asked, {type(error).__name__}", hint)

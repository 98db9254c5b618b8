"""What the CQL driver raises, as the errors of stores/base.py, with the way to mend it in words."""

from __future__ import annotations

import re
from ipaddress import ip_address

import cassandra
from cassandra import ConsistencyLevel, connection, pool, protocol
from cassandra.cluster import NoHostAvailable

from conf.errors import ConfigError, TopshelfError
from conf.settings import Scylla
from stores.base import StoreDenied, StoreMisshaped, StoreThrottled, StoreTimeout, StoreUnavailable


class Refused(StoreMisshaped):
    """The server will never have the request as it is; the text is its reason."""


DRIVER_ERRORS = (
    cassandra.DriverException,
    NoHostAvailable,
    protocol.ErrorMessage,
    protocol.InternalError,
    protocol.NotSupportedError,
    connection.ConnectionException,
    connection.ConnectionBusy,
    connection.ProtocolError,
    pool.NoConnectionsAvailable,
    OSError,
)
_LOGIN = (cassandra.AuthenticationFailed, protocol.BadCredentials)
_DENIED = (cassandra.Unauthorized,)
_OVERLOADED = (
    protocol.OverloadedErrorMessage,
    cassandra.RateLimitReached,
    connection.ConnectionBusy,
    pool.NoConnectionsAvailable,
)
_SILENT = (cassandra.OperationTimedOut, cassandra.Timeout)
_WORDS: tuple[tuple[tuple[type[BaseException], ...], type[TopshelfError], str], ...] = (
    (_LOGIN, StoreDenied, "refuses the log-in ({reason}): {login}"),
    (
        _DENIED,
        StoreDenied,
        "does not allow it ({reason}): grant {who} SELECT and MODIFY on keyspace {keyspace}, and CREATE for "
        "`topshelf store create`",
    ),
    (
        _OVERLOADED,
        StoreThrottled,
        "is overloaded ({reason}): try again later, lower publish.rows_in_flight, or add nodes",
    ),
    (_SILENT, StoreTimeout, "did not answer in time: {reason}"),
    (
        (cassandra.Unavailable,),
        StoreUnavailable,
        "has too few replicas up ({reason}): start the nodes that are down, or change scylla.consistency",
    ),
    (
        (cassandra.UnresolvableContactPoints,),
        StoreUnavailable,
        "cannot be found, no host of that name has an address: check scylla.hosts",
    ),
    ((cassandra.InvalidRequest,), Refused, "refuses the request: {reason}"),
    (
        (protocol.ConfigurationException, protocol.SyntaxException, cassandra.ConfigurationException),
        ConfigError,
        "will not have scylla.replication or scylla.compaction as set: {reason}",
    ),
)
_OTHERWISE = (StoreUnavailable, "failed: {reason}")
_TEXT = re.compile(r'message="(.*)"', re.DOTALL)


def place(settings: Scylla) -> str:
    """The nodes of the settings, for a person."""
    return ", ".join(f"{host}:{settings.port}" for host in settings.hosts)


def store_error(error: BaseException, settings: Scylla) -> TopshelfError:
    """The typed error that stands for one of `DRIVER_ERRORS`."""
    if isinstance(error, NoHostAvailable):
        return _none_answers(error, settings)
    kind, words = next(((kind, words) for kinds, kind, words in _WORDS if isinstance(error, kinds)), _OTHERWISE)
    text = words.format(
        reason=reason_of(error),
        keyspace=settings.keyspace,
        who=settings.username or "everybody",
        login="set scylla.username and scylla.password"
        if settings.username is None
        else "correct scylla.username or scylla.password",
    )
    return kind(f"the CQL store at {place(settings)} {text}")


def asks_to_slow_down(error: BaseException) -> bool:
    """Whether a server, or every connection, has too much to do, as opposed to not answering."""
    return any(isinstance(each, _OVERLOADED) for each in _causes(error))


def _none_answers(error: NoHostAvailable, settings: Scylla) -> TopshelfError:
    """What one node says of log-ins, rights and load is what matters; otherwise nobody was there."""
    causes = _causes(error)
    for kinds in (_LOGIN, _DENIED, _OVERLOADED):
        for cause in causes:
            if isinstance(cause, kinds):
                return store_error(cause, settings)
    kind = StoreTimeout if causes and all(isinstance(cause, _SILENT) for cause in causes) else StoreUnavailable
    reason = "; ".join(dict.fromkeys(map(reason_of, causes))) or "no connection"
    return kind(f"no node of the CQL store at {place(settings)} answers ({reason}): {remedy(settings)}")


def _causes(error: BaseException) -> list[BaseException]:
    """The error, or what came of each node."""
    if not isinstance(error, NoHostAvailable):
        return [error]
    each = error.errors.values() if isinstance(error.errors, dict) else error.errors or ()
    return [cause for cause in each if isinstance(cause, BaseException)]


def reason_of(error: BaseException) -> str:
    """What the server or the network said, without the driver's wrapping."""
    if isinstance(error, protocol.ErrorMessage):
        return str(error.message or error.summary)
    if isinstance(error, cassandra.OperationTimedOut):
        return "no answer" if error.timeout is None else f"no answer within {error.timeout:g} s"
    if isinstance(error, cassandra.Unavailable):
        level = ConsistencyLevel.value_to_name.get(error.consistency, error.consistency)
        return f"{level} needs {error.required_replicas}, {error.alive_replicas} are up"
    text = str(error)
    if isinstance(error, connection.ConnectionShutdown) and "heartbeat" in text:
        return "a connection gave no sign of life"
    if isinstance(error, OSError):
        text = text.rpartition("Last error: ")[2]
    inner = _TEXT.search(text)
    return (inner.group(1) if inner else text).strip() or type(error).__name__


def remedy(settings: Scylla) -> str:
    """What to do when nobody answers."""
    if all(_is_loopback(host) for host in settings.hosts):
        return "start one with `topshelf services up scylla`, or correct scylla.hosts and scylla.port"
    return "check the network, and scylla.hosts and scylla.port"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

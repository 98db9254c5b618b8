"""DynamoDB's client: made once a process, with every failure as one of the store's typed errors."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.session import Session

from conf.errors import ConfigError, RetryableError, TopshelfError
from conf.settings import Dynamodb
from stores.base import (
    StoreDenied,
    StoreFull,
    StoreMisshaped,
    StoreMissing,
    StoreThrottled,
    StoreTimeout,
    StoreUnavailable,
    Timeouts,
)
from stores.dynamodb_wire import NotDynamo, Wire
from stores.per_process import PerProcess

POOL = 64
"""Connections kept open: more than a process has threads that ask."""
BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.05, 5.0

_UNREACHED = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ChecksumError,
    ResponseParserError,
)
_CONTENT_TYPE = "application/x-amz-json"


class ConditionFailed(RetryableError):
    """The item in the table is not as the condition wants it."""

    def __init__(self, item: dict[str, Any]) -> None:
        super().__init__("the item in the table is not as the condition wants it")
        self.item = item
        """As it is in the table, where the call asked for it."""


class TableInUse(RetryableError):
    """The table is being made, changed or deleted by another call."""


class Refused(StoreMisshaped):
    """DynamoDB will not have the request as it is."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"DynamoDB {where} refuses the request ({reason}): `topshelf store check` tells whether its keys are right"
        )
        self.reason = reason
        """In DynamoDB's words."""


_ANSWERS = (
    (
        ("ProvisionedThroughputExceededException", "RequestLimitExceeded", "Throttling", "ThrottlingException"),
        StoreThrottled,
        "asks to slow down ({reason}): try again later, or give it more units",
    ),
    (
        ("ResourceNotFoundException", "TableNotFoundException"),
        StoreMissing,
        "does not exist: `topshelf store create` makes it",
    ),
    (
        (
            *("AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignatureException"),
            *("InvalidClientTokenId", "InvalidSignatureException", "MissingAuthenticationTokenException"),
            *("OptInRequired", "SignatureDoesNotMatch", "UnrecognizedClientException"),
        ),
        StoreDenied,
        "refuses these credentials ({code}: {reason}): use others, or allow it in IAM",
    ),
    (("ResourceInUseException",), TableInUse, "is in use by another call ({reason}): try again in a minute"),
    (
        ("ItemCollectionSizeLimitExceededException", "LimitExceededException", "ServiceQuotaExceededException"),
        StoreFull,
        "is at a limit of the account or table ({code}: {reason}): have it raised",
    ),
)
_BY_CODE = {code: (kind, words) for codes, kind, words in _ANSWERS for code in codes}
_OTHERWISE = (StoreUnavailable, "answered {status} {code}: {reason}")


def backoff(tries: int, longest: float = LONGEST_BACKOFF_SECONDS) -> float:
    """Seconds before try number `tries` + 2: random, so that many who were turned away do not return together."""
    return random.uniform(0, min(BACKOFF_SECONDS * 2**tries, longest))  # noqa: S311  # no secret


@dataclass(frozen=True)
class _Clients:
    """Two ways to the same table."""

    boto: Any
    wire: Wire

    def close(self) -> None:
        self.wire.close()
        self.boto.close()


class DynamoClient:
    """Calls of one table. Thread-safe; connects on first use, and anew after a fork."""

    def __init__(self, settings: Dynamodb, timeouts: Timeouts, sleep: Callable[[float], None] = time.sleep) -> None:
        self.table = settings.table
        self.retries = timeouts.retries
        self._settings = settings
        self._timeouts = timeouts
        self._sleep = sleep
        self._ready = threading.local()
        self._client = PerProcess(self._make, _Clients.close)

    @property
    def where(self) -> str:
        return f"table {self.table} " + (
            f"at {self._settings.endpoint}" if self._settings.endpoint else f"in {self._settings.region}"
        )

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One try of an operation, by botocore's name for it.

        Raises:
            StoreTimeout, StoreUnavailable, StoreThrottled, StoreMissing, StoreDenied, StoreFull: in words.
            ConditionFailed, Refused: see there.
            ConfigError: the endpoint is not an address.
        """
        try:
            answer: dict[str, Any] = getattr(self._client.get().boto, operation)(**parameters)
        except (boto.ClientError, boto.BotoCoreError, ResponseParserError) as error:
            raise self._typed(error) from error
        except (AttributeError, ValueError) as error:
            raise self._stranger() from error  # Botocore's parser trips over it.
        if not answer["ResponseMetadata"]["HTTPHeaders"].get("content-type", "").startswith(_CONTENT_TYPE):
            # Botocore takes any page with status 200 for an empty answer: an unknown user, or no control record.
            raise self._stranger()
        return answer

    def repeat(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """As `call`, tried again as often as the time-outs allow when it was not answered or throttled."""
        return self._again(lambda: self.call(operation, **parameters))

    def query(self, body: bytes) -> dict[str, Any]:
        """A query, tried again like `repeat`. The request, and the answer, are DynamoDB's own JSON."""
        return self._again(lambda: self._query(body))

    def _query(self, body: bytes) -> dict[str, Any]:
        try:
            return self._client.get().wire.call("Query", body)
        except (boto.ClientError, boto.BotoCoreError) as error:
            raise self._typed(error) from error
        except NotDynamo as error:
            raise self._stranger() from error

    def _again(self, attempt: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        for tries in range(self.retries):
            try:
                return attempt()
            except StoreUnavailable:
                self._sleep(backoff(tries))
        return attempt()

    def write_batch(self, body: bytes) -> dict[str, Any]:
        """As `call` of BatchWriteItem, for a request that is in DynamoDB's JSON already.

        Botocore takes about a third of its time for putting 25 rows into JSON, most of it to find out their types.
        """
        self._ready.body = body
        try:
            return self.call("batch_write_item", RequestItems={self.table: []})
        finally:
            self._ready.body = None

    def close(self) -> None:
        self._client.close()

    def _make(self) -> _Clients:
        session = Session()
        local = self._settings.endpoint is not None and is_loopback(self._settings.endpoint)
        if local:
            _stay_local(session)
        client = _make(session, self._settings, self._timeouts, local)
        client.meta.events.register("before-call.dynamodb.BatchWriteItem", self._put_body)
        meta = client.meta
        return _Clients(client, Wire(session, meta.endpoint_url, meta.region_name, self._timeouts, POOL, local))

    def _put_body(self, params: dict[str, Any], **_: Any) -> None:
        body = getattr(self._ready, "body", None)
        if body is not None:
            params["body"] = body

    def _typed(self, error: Exception) -> TopshelfError:
        if isinstance(error, boto.ClientError):
            return self._answered(error)
        if isinstance(error, (boto.ConnectTimeoutError, boto.ReadTimeoutError)):
            seconds = self._timeouts.connect if isinstance(error, boto.ConnectTimeoutError) else self._timeouts.read
            return StoreTimeout(f"DynamoDB {self.where} did not answer within {seconds:g} s")
        if isinstance(error, _UNREACHED):
            return StoreUnavailable(f"DynamoDB {self.where} cannot be reached ({error}): {self._remedy()}")
        # What is left comes before the first byte is sent: profiles, tokens and roles that give no credentials.
        return StoreDenied(
            f"no AWS credentials for DynamoDB {self.where} ({error}): set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role gives them"
        )

    def _stranger(self) -> StoreUnavailable:
        return StoreUnavailable(f"what answers for {self.where} is not DynamoDB: {self._remedy()}")

    def _remedy(self) -> str:
        if self._settings.endpoint is None:
            return "check the network and the setting dynamodb.region"
        if is_loopback(self._settings.endpoint):
            return "start it with `topshelf services up dynamodb`, or correct the setting dynamodb.endpoint"
        return "check the network and the setting dynamodb.endpoint"

    def _answered(self, error: boto.ClientError) -> TopshelfError:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        reason = error.response["Error"].get("Message") or code
        if code == "ConditionalCheckFailedException":
            return ConditionFailed(error.response.get("Item", {}))
        if code == "ValidationException":
            return Refused(self.where, reason)
        kind, words = _BY_CODE.get(code, _OTHERWISE)
        return kind(f"DynamoDB {self.where} {words.format(reason=reason, code=code, status=status)}")


def is_loopback(endpoint: str) -> bool:
    """Whether an address is of this machine only."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _make(session: Session, settings: Dynamodb, timeouts: Timeouts, local: bool) -> Any:
    config = Config(
        connect_timeout=timeouts.connect,
        read_timeout=timeouts.read,
        # Tries are counted and told apart here, not in botocore, which hides how often a table asked to slow down.
        retries={"total_max_attempts": 1, "mode": "legacy"},
        max_pool_connections=POOL,
        tcp_keepalive=True,
        # The requests are this product's own and tested; looking through each of them again takes time per row.
        parameter_validation=False,
        proxies={} if local else None,
    )
    try:
        return session.create_client(
            "dynamodb", region_name=settings.region, endpoint_url=settings.endpoint, config=config
        )
    except ValueError as error:
        raise ConfigError(f"dynamodb.endpoint or dynamodb.region is not one ({error}): correct it") from error


def _stay_local(session: Any) -> None:
    """Credentials for a server of this machine: any will do, and none are worth asking the network for."""
    chain = session.get_component("credential_provider")
    chain.remove("iam-role")
    if session.get_credentials() is None:
        session.set_credentials("local", "local")

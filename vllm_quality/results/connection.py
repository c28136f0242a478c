"""Reaching ClickHouse: the engine in this process on a folder, or a server over HTTP. One call, one connection.

Both give the same clickhouse-connect client. Whatever goes wrong comes out as one sentence without a password in it.
"""

import base64
import errno
import fcntl
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit

import tenacity

from vllm_quality.results.compact import compact
from vllm_quality.results.rows import ResultsError
from vllm_quality.results.turns import turn

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

DATABASE = "vllm_eval"
VARIABLE = "VLLM_QUALITY_RESULTS_URL"

_TURN_SECONDS = 60.0
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 60
_ATTEMPTS = 3

# Error codes of ClickHouse (src/Common/ErrorCodes.cpp).
_NOT_ENOUGH_SPACE = 243
_ACCESS_DENIED = 497
_BUSY = ("429", "502", "503", "504")  # the answers of a proxy whose ClickHouse is away for a moment
_NOT_LET_IN = (192, 193, 194, 516)  # unknown user, wrong password, required password, authentication failed

_SET_ANOTHER = f"set {VARIABLE} or VLLM_QUALITY_HOME to another."

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Connection(Protocol):
    """A way to ClickHouse."""

    @property
    def database(self) -> str:
        """The database that the tables are in."""
        ...

    def run(self, work: Callable[["Client"], T]) -> T:
        """What `work` returns when given an open client. Raises `ResultsError`. Repeatable work only: it may run again."""
        ...


class _UnreachableError(ResultsError):
    """Nobody answered; the next attempt may find someone."""


@dataclass(frozen=True)
class Embedded:
    """ClickHouse's engine in this process. The folder is held alone while `work` runs, and free in between."""

    folder: Path
    turn_seconds: float = _TURN_SECONDS
    database: str = DATABASE

    def run(self, work: Callable[["Client"], T]) -> T:
        """See `Connection.run`."""
        import clickhouse_connect
        from clickhouse_connect.driver.exceptions import ClickHouseError

        with turn(self.folder, self.turn_seconds):
            try:
                with clickhouse_connect.get_client(
                    interface="chdb", path=str(self.folder), tz_mode="aware", show_clickhouse_errors="scrub"
                ) as client:
                    answer = work(client)
                    self._compact(client)
                    return answer
            except ClickHouseError as error:
                raise self._explained(error) from None
            except OSError as error:  # inserts pass through a temporary file
                if error.errno == errno.ENOSPC:
                    raise self._full() from None
                raise ResultsError(
                    f"The results folder {self.folder} failed ({error.strerror}); {_SET_ANOTHER}"
                ) from None

    def _compact(self, client: "Client") -> None:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            compact(client)
        except ClickHouseError as error:  # what was asked for is done, and the next call compacts
            _log.warning("The results folder %s could not be compacted: %s", self.folder, _first_line(str(error)))

    def _explained(self, error: Exception) -> ResultsError:
        text = str(error)
        if getattr(error, "code", None) == _NOT_ENOUGH_SPACE or "No space left on device" in text:
            return self._full()
        if "Unable to open" in text and _is_open_elsewhere(self.folder):
            return ResultsError(
                f"The results folder {self.folder} is open in a program that is not vllm-quality; close it there."
            )
        return ResultsError(f"The results folder {self.folder} failed: {_first_line(text)}")

    def _full(self) -> ResultsError:
        return ResultsError(
            f"There is no space left for the results folder {self.folder}; free some, then run this again."
        )


@dataclass(frozen=True)
class Server:
    """A ClickHouse server over HTTP(S). Transport failures are tried again, three times in all."""

    host: str
    port: int
    secure: bool
    user: str
    password: str = field(repr=False)
    database: str = DATABASE

    @property
    def name(self) -> str:
        """Its address, for people."""
        return f"{self.host}:{self.port}"

    def run(self, work: Callable[["Client"], T]) -> T:
        """See `Connection.run`."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_UnreachableError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        answer: T = retrying(self._run_once, work)
        return answer

    def _run_once(self, work: Callable[["Client"], T]) -> T:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            with self._open() as client:
                return work(client)
        except ClickHouseError as error:
            raise self._explained(error) from None

    def _open(self) -> "Client":
        import clickhouse_connect
        from clickhouse_connect.driver.exceptions import ClickHouseError

        # It warns at every broken connection; our own sentence says more.
        logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)
        try:
            # No session: ClickHouse admits one query at a time to a session, and we need nothing that a session keeps.
            return clickhouse_connect.get_client(
                interface="https" if self.secure else "http",
                host=self.host,
                port=self.port,
                username=self.user,
                password=self.password,
                client_name="vllm-quality",
                connect_timeout=_CONNECT_SECONDS,
                send_receive_timeout=_ANSWER_SECONDS,
                autogenerate_session_id=False,
                tz_mode="aware",
                show_clickhouse_errors="scrub",
            )
        except Exception as error:
            text = str(error)
            if isinstance(error, ClickHouseError) and (error.code or error.__cause__ or "HTTP status" in text):
                raise
            raise self._stranger() from None  # the handshake met something that speaks HTTP and is no ClickHouse

    def _explained(self, error: Exception) -> ResultsError:
        code, text = getattr(error, "code", None), self._scrubbed(str(error))
        status = re.search(r"HTTP status (\d{3})", text) if code is None else None
        broken = _broken_transport(error) or (f"HTTP status {status[1]}" if status and status[1] in _BUSY else None)
        if broken:
            return _UnreachableError(
                f"ClickHouse at {self.name} cannot be reached ({broken}); "
                f"check that it runs there and that {VARIABLE} is right."
            )
        if code in _NOT_LET_IN or (status and status[1] in ("401", "403")):
            return ResultsError(f"ClickHouse at {self.name} refuses the user or password; correct {VARIABLE}.")
        if code == _ACCESS_DENIED:
            return ResultsError(
                f"ClickHouse at {self.name} does not let this user do that; "
                f"grant it CREATE, INSERT and SELECT on {self.database}.*: {_first_line(text)}"
            )
        if code == _NOT_ENOUGH_SPACE or "No space left on device" in text:
            return ResultsError(f"ClickHouse at {self.name} has no disk space left; free some, then run this again.")
        if status:
            return self._stranger()
        return ResultsError(f"ClickHouse at {self.name} failed: {_first_line(text)}")

    def _stranger(self) -> ResultsError:
        return ResultsError(
            f"What answers at {self.name} is not ClickHouse's HTTP interface; correct the port in {VARIABLE} (8123 or 8443)."
        )

    def _scrubbed(self, text: str) -> str:
        if not self.password:
            return text
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        for secret in (self.password, quote(self.password, safe=""), basic):
            text = text.replace(secret, "***")
        return text


def connect(url: str) -> Connection:
    """The connection that a results URL stands for. Raises `ResultsError` when it stands for none."""
    if url.startswith("chdb://"):
        folder = url.removeprefix("chdb://")
        if not folder.startswith("/") or "?" in folder:
            raise ResultsError(f"{VARIABLE} must be chdb:///absolute/folder, without options.")
        return Embedded(Path(folder))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ResultsError(f"{VARIABLE} has a port or host that cannot be read; correct it.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ResultsError(
            f"{VARIABLE} must be chdb:///folder or https://user:password@host:8443/database, no options."
        )
    database = parts.path.strip("/") or DATABASE
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", database):
        raise ResultsError(f"{VARIABLE} names the database {database!r}; use letters, digits and underscores.")
    secure = parts.scheme == "https"
    return Server(
        host=parts.hostname,
        port=port or (8443 if secure else 8123),
        secure=secure,
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=database,
    )


def _is_open_elsewhere(folder: Path) -> bool:
    """Whether another engine holds the folder. It says so on stderr only, but locks its status file as ClickHouse does."""
    try:
        with (folder / "status").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _broken_transport(error: Exception) -> str | None:
    """In a few words, how the connection failed; None when it did not."""
    from urllib3 import exceptions

    cause = error.__cause__
    if not isinstance(cause, exceptions.HTTPError):
        return None
    reason = getattr(cause, "reason", None) or cause
    if isinstance(reason, exceptions.NameResolutionError):
        return "the host name is not known"
    if isinstance(reason, exceptions.SSLError):
        return "TLS failed"
    if isinstance(reason, exceptions.TimeoutError) and not isinstance(reason, exceptions.NewConnectionError):
        return "no answer in time"
    return "the connection was refused or broken"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]

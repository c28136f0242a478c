"""A Teams webhook on loopback that answers as it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


@dataclass(frozen=True)
class Answer:
    """What the webhook does with one request."""

    status: int = 202
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    after_s: float = 0.0


@dataclass
class Webhook:
    """A running webhook: its address, what it was sent, and what it still has to answer (202 when that is used up)."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    _released: Event = field(default_factory=Event)

    def release(self) -> None:
        """Hold no answer back any longer."""
        self._released.set()


@contextmanager
def webhook(*answers: Answer) -> Iterator[Webhook]:
    """Serve until the block ends. The address carries a secret, as those of Teams do."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.received.append(self.rfile.read(int(self.headers["content-length"])))
            answer = hook.answers.pop(0) if hook.answers else Answer()
            hook._released.wait(answer.after_s)
            try:
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has given up

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Webhook(
        f"http://127.0.0.1:{server.server_port}/workflows/1/run?sp=%2Frun&sig=s3cr3t-SIGNATURE", list(answers)
    )
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hook
    finally:
        hook.release()
        server.shutdown()
        server.server_close()
        thread.join()

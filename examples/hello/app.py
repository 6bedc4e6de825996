"""A page that says which run of it you are looking at: edit MESSAGE, save, reload the page."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MESSAGE = "Hello. Change me in examples/hello/app.py and save."


class Page(BaseHTTPRequestHandler):
    """Answers every path alike."""

    def do_GET(self) -> None:
        run = os.environ.get("RELOADERD_RUN", "without reloaderd")
        body = f"{MESSAGE}\nrun {run}, process {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """One line for each visit is no news here."""


def listen() -> ThreadingHTTPServer:
    """The first free port from PORT (8000 where it is not set) on.

    The port stays the same from run to run: the last run is gone before this one starts.
    """
    first = int(os.environ.get("PORT", "8000"))
    for port in range(first, first + 20):
        try:
            return ThreadingHTTPServer(("127.0.0.1", port), Page)
        except OSError:
            continue
    raise SystemExit(f"no free port from {first} to {first + 19}; name another: PORT=9000")


if __name__ == "__main__":
    server = listen()
    host, port = server.server_address[:2]
    try:
        print(f"serving http://{host}:{port}/", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:  # Ctrl-C is how one ends it
        pass

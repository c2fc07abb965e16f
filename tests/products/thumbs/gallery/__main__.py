"""A page whose links to pictures are signed: `python -m gallery PORT`."""

import hashlib
import hmac
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import runtime

CONFIG = runtime.load("gallery")


def link(picture: str) -> str:
    """Return where a picture is, for those who have the page."""
    key = CONFIG.link_key.reveal().encode()
    return f"/node/{picture}?{hmac.new(key, picture.encode(), hashlib.sha256).hexdigest()}"


class Page(BaseHTTPRequestHandler):
    """The page, and the answer to a health check."""

    def do_GET(self) -> None:
        """Answer."""
        text = "ok" if self.path == "/healthz" else f'<img src="{link("cat")}">'
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


ThreadingHTTPServer(("", int(sys.argv[1])), Page).serve_forever()

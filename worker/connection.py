"""uvicorn's HTTP connection, whose answer to what is not HTTP has the form of every other error.

Never sees a request that is one.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from worker.wire import error_body


class Connection(HttpToolsProtocol):
    """One connection of a client."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and close: where the next request begins is not known."""
        body = error_body("", 400, msg)
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

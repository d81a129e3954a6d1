"""The target of a request exactly as sent, which is what signatures are computed over."""

from urllib.parse import quote_from_bytes, unquote_to_bytes

from infra.embedded.http.protocols import Environ

TARGET = "ahx.target"  # its key in the WSGI environment

Query = list[tuple[bytes, bytes]]


def target(environ: Environ) -> tuple[bytes, bytes]:
    """The path and the query string as they were sent."""
    target: bytes = environ[TARGET].encode("latin-1")
    if not target.startswith(b"/"):  # http://host/path
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    path, _, query = target.partition(b"?")
    return path, query.partition(b"#")[0]


def pairs(environ: Environ) -> Query:
    parts = (part.partition(b"=") for part in target(environ)[1].split(b"&") if part)
    return [(unquote_to_bytes(name), unquote_to_bytes(value.replace(b"+", b" "))) for name, _, value in parts]


def quoted(raw: bytes, safe: bytes = b"") -> bytes:
    return quote_from_bytes(raw, safe=safe + b"-_.~").encode()


def bucket_of_host(environ: Environ) -> bytes:
    """/BUCKET for the host BUCKET.localhost, else empty."""
    name = environ["HTTP_HOST"].rpartition(":")[0]
    bucket = name.removesuffix(".localhost") if name.endswith(".localhost") else ""
    return f"/{bucket}".encode() if bucket else b""

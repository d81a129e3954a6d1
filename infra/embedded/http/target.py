"""The target of a request as its first line has it: signatures are over what was sent."""

from urllib.parse import quote_from_bytes, unquote_to_bytes

from infra.embedded.http.wire import Environ

TARGET = "ahx.target"  # where it stands in the environment of a request

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
    """/BUCKET where the host's name begins with it, as in BUCKET.localhost."""
    name = environ["HTTP_HOST"].rpartition(":")[0]
    bucket = name.removesuffix(".localhost") if name.endswith(".localhost") else ""
    return f"/{bucket}".encode() if bucket else b""

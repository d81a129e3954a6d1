"""Admission of requests: they must name this server, come from an allowed origin, and be signed.

Browsers let any page send requests to 127.0.0.1, but a page cannot set Host, Origin and Sec-Fetch-Site
(https://fetch.spec.whatwg.org/#forbidden-header-name), and does not know the key.
"""

from collections.abc import Callable, Collection
from typing import Any

from infra.embedded.access.signatures import HEADERS, KeyOf, Signed, verify
from infra.embedded.http.protocols import AwsError, Call, Environ, StartResponse

_SITES = {"none", "same-origin"}
_METHODS = "GET, HEAD, POST, PUT, DELETE, PATCH"
_FORMS = "multipart/form-data"
_TOKEN = "The security token included in the request is"
_MISSING = "MissingAuthenticationToken", "MissingAuthenticationTokenException", "Missing Authentication Token"
_INVALID = "InvalidClientTokenId", "UnrecognizedClientException", f"{_TOKEN} invalid."
# By the code of S3: the code in query protocols, in others, and the message, if it is another one.
_CODES = {
    "AccessDenied": _MISSING,
    "InvalidAccessKeyId": _INVALID,
    "InvalidToken": _INVALID,
    "ExpiredToken": ("ExpiredToken", "ExpiredTokenException", f"{_TOKEN} expired"),
    "SignatureDoesNotMatch": ("SignatureDoesNotMatch", "InvalidSignatureException", ""),
    "RequestTimeTooSkewed": ("SignatureDoesNotMatch", "InvalidSignatureException", ""),
    "Authorization": ("IncompleteSignature", "IncompleteSignatureException", ""),
}
_OWN_PAGES = ("/moto-api/", "/_ahx/page")
_NO_ORIGIN = ("Content-Security-Policy", "sandbox allow-scripts")


class Gate:
    """`names` are the host names and addresses of the server, which listens on `port`; `origins` are allowed origins.

    `key_of` finds keys; without it, unsigned requests and any signature are accepted.
    """

    def __init__(self, names: Collection[str], port: int, origins: Collection[str], key_of: KeyOf | None) -> None:
        self._names, self._port, self._origins, self.key_of = names, port, origins, key_of

    def cross_origin(self, environ: Environ) -> str:
        """Why a request for another host or from another origin is refused; "" if it is not."""
        headers = environ[HEADERS]
        hosts, origins = headers.get_all("Host", []), headers.get_all("Origin", [])
        host = environ.get("HTTP_HOST", "")
        if len(hosts) > 1 or not all(self._is_this_server(name) for name in {host, *hosts}):
            return f"This server is not {_shown(host)}; call it by the address that it printed."
        if any(origin not in self._origins and origin != f"http://{host}" for origin in origins):
            return f"Pages of {_shown(origins[0])} may not use this server; `ahx aws --allow-origin` allows an origin."
        if not origins and any(site not in _SITES for site in headers.get_all("Sec-Fetch-Site", [])):
            return "Pages of other sites may not use this server; open its address by itself."
        return ""

    def admit(self, environ: Environ, body_hash: Callable[[], str]) -> Signed | None:
        """Raises AwsError unless the request is signed with a known key. A form is not checked here."""
        if self.key_of is None:
            self._admit_unsigned(environ)
            return None
        if is_form(environ):
            return None
        return verify(environ, self.key_of, body_hash)

    def _admit_unsigned(self, environ: Environ) -> None:
        """Browsers send Sec-Fetch-Site with a GET to loopback only, old ones never; no page can set Authorization."""
        name = environ["HTTP_HOST"].partition(":")[0].lower()
        local = name == "127.0.0.1" or name.rpartition(".")[2] == "localhost"
        changes = environ["REQUEST_METHOD"] != "POST" and "Action=" in environ.get("QUERY_STRING", "")
        if (changes or not local) and "Authorization" not in environ[HEADERS]:
            raise AwsError("AccessDenied", "Access Denied", 403)

    def with_cors(self, environ: Environ, start: StartResponse) -> StartResponse:
        """`start`, with headers by which only pages of an allowed origin can read the answer."""
        origin = environ[HEADERS].get("Origin")

        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            if not environ.get("PATH_INFO", "").startswith(_OWN_PAGES):
                kept.append(_NO_ORIGIN)  # an object may be a page
            if origin in self._origins:
                kept += [
                    ("Access-Control-Allow-Origin", origin),
                    ("Access-Control-Expose-Headers", "*"),
                    ("Vary", "Origin"),
                ]
                if environ["REQUEST_METHOD"] == "OPTIONS":
                    asked = environ[HEADERS].get("Access-Control-Request-Headers", "")
                    kept += [("Access-Control-Allow-Methods", _METHODS), ("Access-Control-Allow-Headers", asked)]
            return start(status, kept, *more)

        return begin

    def is_preflight(self, environ: Environ) -> bool:
        """Whether it is the CORS preflight of a page of an allowed origin."""
        headers = environ[HEADERS]
        asks: bool = environ["REQUEST_METHOD"] == "OPTIONS" and "Access-Control-Request-Method" in headers
        return asks and headers.get("Origin") in self._origins

    def _is_this_server(self, host: str) -> bool:
        name, _, port = host.lower().partition(":")
        return (port or "80") == str(self._port) and (name in self._names or name.endswith(".localhost"))


def is_form(environ: Environ) -> bool:
    """Whether a request is an upload by a form, whose signature and parameters are in its body."""
    if environ["REQUEST_METHOD"] != "POST" or not str(environ.get("CONTENT_TYPE")).lower().startswith(_FORMS):
        return False
    return not (
        environ.get("QUERY_STRING") or "Authorization" in environ[HEADERS] or "X-Amz-Target" in environ[HEADERS]
    )


def in_words_of(call: Call, error: AwsError) -> AwsError:
    """`error`, a refusal of a signature with the code of S3, with the code and message of the service of `call`."""
    if call.service == "s3":
        return error
    code = "Authorization" if error.code.startswith("Authorization") else error.code
    if code == "AccessDenied" and error.message != "Access Denied":
        code = ""
    is_query = call.protocol == "query"
    in_query, otherwise, message = _CODES.get(code, (error.code, error.code, ""))
    return AwsError(in_query if is_query else otherwise, message or error.message, error.status if is_query else 400)


def _shown(name: str) -> str:
    return ascii(name[:100])[1:-1] or "nameless"

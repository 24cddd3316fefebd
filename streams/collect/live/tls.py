"""The TLS context of every connection: certificate and name are always checked; there is no way to turn that off."""

import ssl
from pathlib import Path

from schemas.errors import TwzrdError


class TlsError(TwzrdError):
    """A CA file that cannot be used; the message names it and the mend."""


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer. ca_file: PEM of the only authority to trust (a test server's own) instead of the system's.

    Raises TlsError where the file cannot be read or holds no certificate. One context serves all connections.
    """
    if ca_file is None:
        context = ssl.create_default_context()
    else:
        try:
            context = ssl.create_default_context(cadata=ca_file.read_text("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise TlsError(f"CA file {ca_file} holds no certificate in PEM form; give the authority's .pem") from error
        except OSError as error:
            raise TlsError(f"CA file {ca_file}: {error.strerror}; give the path of a PEM file") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

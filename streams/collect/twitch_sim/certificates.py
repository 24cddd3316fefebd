"""A certificate authority and a server's certificate, made anew at every start; the private keys stay in memory."""

import ipaddress
import ssl

import trustme


def server_context(host: str) -> tuple[ssl.SSLContext, bytes]:
    """A TLS context for a server reached as `host`, localhost or 127.0.0.1, and the CA's certificate as PEM."""
    authority = trustme.CA(organization_name="twzrd twitch-sim")
    names = {"localhost", "127.0.0.1", "::1"}
    if not _is_any_address(host):
        names.add(host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.issue_cert(*sorted(names)).configure_cert(context)
    return context, authority.cert_pem.bytes()


def _is_any_address(host: str) -> bool:
    """0.0.0.0 and :: are no names a client may use."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host

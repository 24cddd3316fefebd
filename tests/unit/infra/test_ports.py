"""Ports that are free: the wanted one, else any; and two side by side."""

import socket

import pytest

from infra.ports import PortError, free_pair, free_port, must_be_free


def test_the_wanted_port_or_another_where_it_is_taken() -> None:
    wanted = free_port("127.0.0.1", 0)
    assert free_port("127.0.0.1", wanted) == wanted
    with socket.create_server(("127.0.0.1", wanted)):
        assert free_port("127.0.0.1", wanted) not in (0, wanted)


def test_a_pair_needs_both() -> None:
    wanted = free_pair(0)
    assert free_pair(wanted) == wanted
    with socket.create_server(("127.0.0.1", wanted + 1)):
        assert free_pair(wanted) != wanted


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_taken_port_is_named_with_the_mend(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=rf"port {port} of {host} is taken .* --port or TWZRD_API_PORT"):
            must_be_free(host, port)
    must_be_free(host, port)
    must_be_free(host, 0)


def test_an_address_of_another_machine_is_no_port_of_ours() -> None:
    with pytest.raises(PortError, match="no address of this machine"):
        must_be_free("192.0.2.1", 0)

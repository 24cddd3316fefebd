"""Ports that are free: the wanted one, else any; and two side by side."""

import socket

from infra.ports import free_pair, free_port


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

"""What `twzrd up` starts."""

from infra.supervisor import parts_of


def test_signer_and_payer_run_where_a_mint_is_configured() -> None:
    without = [part.name for part in parts_of(8480)]
    assert [part.name for part in parts_of(8480, claims=True)] == [*without, "sign", "pay"]
    assert "sign" not in without

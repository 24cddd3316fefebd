"""Which refusals of the chain mean that money is short."""

import pytest

from claim_api.original.funds import lacks_funds


@pytest.mark.parametrize(
    ("error", "short"),
    [
        ('"InsufficientFundsForFee"', True),
        ('{"InsufficientFundsForRent":{"account_index":0}}', True),
        ('{"InstructionError":[2,{"Custom":1}]}', True),
        ('refused_by_chain: {"InstructionError":[3,{"Custom":1}]}', True),
        ('refused_by_chain: {"InstructionError":[4,{"Custom":1}]}', True),
        ("node: Transaction simulation failed: Insufficient funds for fee", True),
        ("node: Attempt to debit an account but found no record of a prior credit.", True),
        ('{"InstructionError":[2,{"Custom":0}]}', False),
        ('{"InstructionError":[0,{"Custom":1}]}', False),
        ('{"InstructionError":[4,"IncorrectProgramId"]}', False),
        ('"BlockhashNotFound"', False),
        ("wrong_answer: claim 1: the amount differs", False),
        ("node: HTTP 503", False),
        ("[1]", False),
        ("", False),
    ],
)
def test_what_lacks_funds(error: str, short: bool) -> None:
    assert lacks_funds(error) is short

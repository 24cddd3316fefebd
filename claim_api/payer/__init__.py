"""The payer: brings reserved claims to the chain and their fate back. docs/claims.md, Ledger.

intake     reserved claims: signed by the signer, stored, sent
paper      what the signer answered, taken apart before the fee payer signs
watch      attempts that may land: sent again, confirmed, given up
settle     a claim whose marker exists: which transaction of ours made it
rent       markers of claims long final: their rent comes back
door       the web process asks here for what a viewer signs
process    the loops around all of it
"""

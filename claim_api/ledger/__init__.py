"""The ledger of claims: who may reserve what, and how a claim moves to its end. docs/claims.md, Ledger.

reserve    web: allocations become a claim, each once and for ever
read       web: claims and totals of one viewer
moves      payer: every change of a claim's state, each a compare-and-set with its line in the audit log
operate    operator: what is held, retry, freeze, cap
steps      the places where a process may die, by name
"""

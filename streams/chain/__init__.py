"""Solana: what a claim's transaction is made of, and the pool of nodes that it goes through.

private_file  a file that its owner alone may read
keyfile   a key pair on disk, as Solana's own command line keeps it
marker    the account that a claim's payment creates, so that a second one can never land
payment   the one shape of a paying transaction: how it is made, and how a stranger's bytes are taken apart
rent      takes a marker's rent back
mint      makes the token and reads its account
rpc       calls to the chain through several nodes
"""

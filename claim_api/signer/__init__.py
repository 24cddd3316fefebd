"""The signer: the mint authority's key, and the books of what it signed for. docs/claims.md, What the signer checks.

protocol   what it is asked and what it answers, on its unix socket
service    one request from checks through books to signature
making     a claim's message, made by us or taken apart
checks     the checks, pure
books      the signer's own tables and what it reads beside them
earlier    whether an earlier attempt of a claim is dead, by the signer's own look at the chain
last_signed   the mark by which a restored database shows
key        the port to the key, and a key in a file
process    the process around it
"""

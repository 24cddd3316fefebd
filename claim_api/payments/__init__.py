"""Claims over HTTP: what the web process says of the ledger and asks of the payer. docs/claims.md, HTTP.

pages      the routes
view       a Claim as JSON
waiting    who waits for a claim's next state: one listening connection for all of them
"""

"""What a viewer has earned, over HTTP: hours, totals, weeks, and the proof of each. Nothing here writes.

pages      the routes of /v1/eligibility and /v1/me/proof
find       what is asked of the read models and the ledger, gathered
kept       pages kept in memory, each valid for one version of what it shows
shown      JSON of allocations, totals and weeks
"""

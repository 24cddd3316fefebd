"""Projections: consumers of the log that write the Postgres read models, and the functions that read them."""

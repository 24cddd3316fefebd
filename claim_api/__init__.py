"""The HTTP side: read models as JSON, proofs, an event stream, health and metrics. Stands on projections.read."""

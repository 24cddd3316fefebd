"""The Faust worker: the default engine on Kafka. Drives the shards of streams.core; `app.create_app` wires it."""

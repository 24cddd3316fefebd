"""Live Twitch chat onto the log: connections, channels, batches, what was observed, and what was not."""

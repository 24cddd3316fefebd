"""A local Twitch to sign in with: for newcomers without an account there, and for tests. Never for the public."""

"""Who is asking: signing in with Twitch, sessions, and what a signed-in viewer may be told about themselves."""

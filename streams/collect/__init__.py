"""The Twitch side: lines of files (later: of connections) become events. Imports schemas and streams.log."""

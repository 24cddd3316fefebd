"""Offline: files to sealed epochs with no server at all, and the check of what such a run, or anybody's, has left."""

"""Files (and standard input) as chunks of events: formats found out from the content, each with its reader."""

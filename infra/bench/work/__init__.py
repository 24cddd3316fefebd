"""The processes that are measured, where the command line is not one itself."""

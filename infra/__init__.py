"""The outermost house: settings, composition, command line, embedded Postgres and the development broker.

Everything that reads the environment, starts a process or opens a terminal stands here; nothing else imports it.
"""

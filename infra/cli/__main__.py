"""`python -m infra.cli`, for child processes of the supervisor."""

from infra.cli import main

main()

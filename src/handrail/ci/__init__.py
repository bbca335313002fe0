"""A workflow's jobs on this machine, run by `act`: the same YAML that GitHub Actions reads, without a push.

`workflows` chooses and orders the jobs, `actions` keeps other people's actions in a folder here, `act` builds the
command, `events` reads its log, `run` puts them together.
"""

"""``handrail init``: a repository that has never heard of Handrail adopts it, and keeps up with it later.

`detect` finds out what is there, by reading alone; `questions` asks for the rest; `write` has one module for each
file that is written; `plan` compares that with what is there, so that everything is shown before anything is changed;
`ledger` records who owns which file, and `drift` compares the repository with the record.
"""

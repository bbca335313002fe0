"""What proves a commit: lint, types, tests on every Python, the build, and the record of all of them.

Each part is a plain function that returns a `handrail.checks.verdict.Verdict`; nothing here prints but
`handrail.checks.report`. `handrail.checks.record.require_green` is what a deploy asks.
"""

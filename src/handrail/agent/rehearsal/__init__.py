"""What travels beside the agent for `inv db.plan`: the migration of a release on a copy of the database.

Only this command pays for it: a deploy's agent stays as small as it is, and knows no more than how to sweep
(`handrail.agent.leftovers`).
"""

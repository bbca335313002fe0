"""What is typed: one thin file a command group, and the only place that imports Invoke.

`base` has the decorator and the context, `options` the flags, `guard` the end of every task, `catalog` the list
of the groups, `program` what Invoke's own listing, help and error lines lack.
"""

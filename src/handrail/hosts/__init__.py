"""From a bare Debian or Ubuntu machine to a host that takes deploys: user, rights, folders, Python, proxy.

`program` looks at a host and carries out actions there. What a host should be is `want`; the modules beside it compare
the two and return `steps.Step`s, which are data: what is there, what would be done, and the actions. `setup` is the
one executor: it shows them (``--plan``) or has them done, and looks again until nothing is left to do.
"""

from invoke import task

import handrail


@task(
    help={
        "serve": "show the pages on a local port until Ctrl-C",
        "write": "only write the generated pages of docs/reference again",
        "check": "only say whether they are what the code says",
    }
)
def docs(c, serve=False, write=False, check=False):
    """Build the documentation into site/; dead links fail."""
    from scripts.docs.task import run

    run(serve=serve, write=write, check=check)


namespace = handrail.collection(globals())

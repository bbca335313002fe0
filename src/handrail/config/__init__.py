"""What is declared: pyproject.toml and env files become typed settings, each value with its source.

`load` reads ``[tool.handrail]`` into the types of `schema`; `locate`, `explain` and `rules` turn what is
wrong there into one line with a line number. `envfile`, `contract` and `values` do the same for ``env/``.
`target` joins both into what a deploy needs. `reads` finds the variables that the project's code asks for.
Importing any of these modules but the last costs next to nothing: msgspec, dotenv and tomllib are imported where they
are used (only `schema` imports msgspec at its top, so `schema` is imported late, too).
"""

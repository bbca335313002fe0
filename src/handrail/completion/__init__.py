"""Shell completion: words and their help for bash, zsh and fish, without loading a tasks.py at each key press.

`scripts` has what a shell loads, `cache` writes what the tasks are, `answer` reads it: a small program that imports
next to nothing, because it runs at each press of Tab.
"""

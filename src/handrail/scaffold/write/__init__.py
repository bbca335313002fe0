"""What is written into a repository: one module for each file, pure functions of the choices and of what is there."""

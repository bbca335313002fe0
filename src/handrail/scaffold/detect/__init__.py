"""What is in a repository: one noun a file, by reading alone. Nothing of the project is imported or run."""

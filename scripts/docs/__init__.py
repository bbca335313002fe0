"""The documentation site of this repository: `reference` writes what the code knows, `site` builds the pages."""

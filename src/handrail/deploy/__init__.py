"""A deploy: plan, connect, upload, roll out, verify, record, return."""

import handrail.sessions

handrail.sessions.register()

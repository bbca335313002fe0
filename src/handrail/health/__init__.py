"""What an environment answers: its hosts' health as the agents report it, and HTTP checks from outside."""

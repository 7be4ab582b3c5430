"""Repeated runs: each slot exactly once, whoever starts it (a long-lived process, systemd, cron, a person)."""

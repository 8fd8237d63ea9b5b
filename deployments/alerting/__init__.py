"""The alert path's machinery: messages, triggers, lint, apply, a local receiver. The alerts are in automations.py."""

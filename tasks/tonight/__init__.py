"""Whether tonight is fine: one value that status, dashboard, artifacts and drills all show."""

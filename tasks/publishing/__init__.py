"""Phase 6: what readers get, one atomic publication per game day."""

"""Phase 4: state of teams and players after each game day, and the feature store for each coming game."""

"""Phase 3: what happened in each game, and the situation in which each coming game will be played."""

"""Where things live and who is told: the warehouse, the landing zone, alerts."""

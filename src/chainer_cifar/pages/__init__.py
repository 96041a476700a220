"""The report of runs as one HTML page that needs nothing beside it; read page.py first."""

"""Coverage-guided fuzzing of everything that reads what a stranger sent. ``fuzz.py`` runs it."""

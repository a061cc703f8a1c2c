"""One HTML page that compares trained models: folders -> records, curves, pictures -> parts -> page."""

"""One page that shows trained models side by side: folders -> records, curves, pictures -> parts -> HTML."""

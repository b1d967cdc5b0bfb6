"""From predictions to a page: metrics, figures, page."""

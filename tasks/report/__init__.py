"""The report: scores, plots and the HTML page of one run."""

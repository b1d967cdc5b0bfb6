"""When and where recordings were made: names and headers of recorders, and tables of sites."""

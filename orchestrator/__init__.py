"""The command line, planning, execution of runs, monitoring, and the demo dataset."""

"""Decides and speaks: the command line, the plan, the dispatcher, the embedded stack."""

"""Dawn Chorus in Python: results of runs as tables, and trained models that predict in this process.

    import dawn_chorus

    run = dawn_chorus.open_home(".chorus").run(3)
    run.detections(threshold=0.8)
    dawn_chorus.load_model(".chorus", "2:cnn").predict("dawn.wav")

A home is only read: runs may be carried out meanwhile. Every error that a user can act on is a `ChorusError`.
Only the names below are meant for use; other packages change between versions.
"""

from dawn_chorus.loaded_model import LoadedModel, load_model
from dawn_chorus.run_tables import OpenHome, RunTables, open_home
from domain.errors import ChorusError

__all__ = ["ChorusError", "LoadedModel", "OpenHome", "RunTables", "load_model", "open_home"]

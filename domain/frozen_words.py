"""Words that stay as they are, because they are part of names, digests or stored facts.

Another word here would give a split, a strip, a shard or a model another name, so that finished work would be done
again, or it would leave rows of existing ledgers unread. Code outside this module uses the terms of the glossary.
"""

from __future__ import annotations

SUBSET_WORDS = ("train", "valid", "test")
"""The subsets as the ledger's `official_split` and the counts of a split name them.

`official_split` is part of the digest of a recording's row. Sentences for people say "validation".
"""

OFFICIAL_SPLIT = "the data's own split"
"""The method of a split that the dataset's own column makes. The digest of the split covers the method's text."""

OFFICIAL_FOLDS = "the data's own {n} folds"
"""The method of a split that the dataset's fold column makes; as OFFICIAL_SPLIT."""

DRAWN_FOLDS = "{n} folds drawn by group with seed {seed}"
"""The method of drawn folds; as OFFICIAL_SPLIT."""

DRAWN_HOLDOUT = "train, valid and test drawn by group with seed {seed}"
"""The method of a drawn holdout; as OFFICIAL_SPLIT."""

NOT_SPLIT = "not at all"
"""The method of a run that ends before a split is needed; as OFFICIAL_SPLIT."""

ON_TRUST = "on trust "
"""Comes before the URI in the identity of a recording that was not read; orders and groups follow from identities."""

RETRIES, LOSSES, DEATHS = "retries", "losses", "deaths"
"""Counters of a run in the ledger: attempts ended by a fault of the machine, lost claims, crashes.

They never decrease: `retry` does not reset them.

`--json` also has the last two under `faults` for one version, beside `lost_claims` and `crashes`.
"""

INTERLEAVED_PIXELS = "gan_side_by_side"
"""A layer of the generator's network. Layer names are part of a model's bytes."""

N_COMPARED = "n_learnt_from"
"""The key for the number of training examples in the copy check, in a stored evaluation of a generator.

An evaluation is named by the digest of its bytes.
"""

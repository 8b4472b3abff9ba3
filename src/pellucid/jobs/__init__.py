"""Work on many inputs: a bad one never stops the others, and what is done is kept for exactly the same question.

`run.over` is the loop, `store.Store` what it keeps. Why the keys hold what they hold: docs/decisions/0018.
"""

from pellucid.jobs.run import Failure, Outcome, over
from pellucid.jobs.store import Store, content_of, question

__all__ = ["Failure", "Outcome", "Store", "content_of", "over", "question"]

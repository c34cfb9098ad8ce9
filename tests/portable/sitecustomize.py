"""Makes Python on Linux behave towards mien as on Windows, as far as that goes; see `simulated.py`.

Python imports this at its start where the folder is in PYTHONPATH, so it holds in all processes that tests start.
"""

import simulated

simulated.begin()

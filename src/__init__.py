"""Keras 3 networks that encode and decode images, and the program that trains them."""

import os
import signal
import sys

# What `python -m` calls the program until it has found it. The imports take a second, in which
# there is nothing to save yet; see `src/signals.py` for what follows.
if sys.argv[:1] == ["-m"]:
    for _number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if _number == signal.SIGINT or signal.getsignal(_number) != signal.SIG_IGN:
            signal.signal(_number, lambda number, frame: os._exit(130))

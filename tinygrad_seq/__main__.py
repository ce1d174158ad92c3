"""``python -m tinygrad_seq``: the command line."""

import sys

from tinygrad_seq.cli import main

sys.exit(main())

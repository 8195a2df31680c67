"""`python -m impasto` is the command `impasto`."""

import sys

from impasto.cli.commands import main

sys.exit(main())

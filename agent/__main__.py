"""Run `python -sP -m agent` like the command `gardu`."""

import sys

from agent.cli.main import main

sys.exit(main())

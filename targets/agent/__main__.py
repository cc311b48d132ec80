"""`python -m targets.agent`."""

import sys

from targets.agent.cli import main

sys.exit(main())

"""``python -m layert2v_engine`` is ``layert2v-engine``."""

import sys

from layert2v_engine.cli.main import main

sys.exit(main())

"""`python -m layert2v_engine` is `layert2v-engine`."""

import sys

from layert2v_engine.cli import main

sys.exit(main())

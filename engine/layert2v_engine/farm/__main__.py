"""``python -m layert2v_engine.farm`` is ``layert2v-farm``."""

import sys

from layert2v_engine.farm.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m layert2v_server``."""

from __future__ import annotations

import sys

from layert2v_server.cli import main

sys.exit(main())

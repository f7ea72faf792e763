"""The add-on's modules that need no Blender: its package without what ``__init__`` imports."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

ADDON = Path(__file__).parents[3] / "blender_addon" / "layert2v_blender"

package = ModuleType("layert2v_blender")
package.__path__ = [str(ADDON)]
sys.modules.setdefault(package.__name__, package)

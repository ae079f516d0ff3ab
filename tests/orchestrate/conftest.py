"""Says where the tests' folder is, for programs that they start."""

import sys
import types
from pathlib import Path

sys.modules.setdefault("conftest_path", types.SimpleNamespace(TESTS=str(Path(__file__).resolve().parents[1])))

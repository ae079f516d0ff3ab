"""Says where the tests' folder is, for programs that they start, and finds `faults` in it."""

import sys
import types
from pathlib import Path

TESTS = str(Path(__file__).resolve().parents[1])
sys.modules.setdefault("conftest_path", types.SimpleNamespace(TESTS=TESTS))
if TESTS not in sys.path:
    sys.path.append(TESTS)

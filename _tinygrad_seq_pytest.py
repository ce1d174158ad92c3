"""The pytest plugin as its entry point sees it: ``tinygrad_seq/gradcheck/plugin.py``, by its path.

Importing it by name would import the package, and with it NumPy, into every run of pytest wherever
tinygrad_seq is installed, and before a conftest has set the number of threads.
"""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

_package = find_spec("tinygrad_seq").submodule_search_locations[0]  # found, but not imported
_path = Path(_package, "gradcheck", "plugin.py")
_spec = spec_from_file_location("_tinygrad_seq_pytest_hooks", _path)
_hooks = module_from_spec(_spec)
_spec.loader.exec_module(_hooks)
globals().update({k: v for k, v in vars(_hooks).items() if k.startswith(("pytest_", "gradcheck_"))})

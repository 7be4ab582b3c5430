"""Shared by all tests: 64-bit floats before anything is traced, and compiled steps kept for the other test processes."""

import os
import signal
from pathlib import Path

import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# The default suite generates the same cases everywhere, so that a red run can be repeated; `HYPOTHESIS_PROFILE=search` looks
# for new ones (the long suite's tests bring their own numbers of cases).
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A shell without job control starts what it puts in the background with Ctrl-C ignored, and children inherit that: the
# processes whose interruption is tested would not hear it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

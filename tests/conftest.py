"""Shared by all tests: 64-bit floats, set before anything is traced."""

import jax

jax.config.update("jax_enable_x64", True)

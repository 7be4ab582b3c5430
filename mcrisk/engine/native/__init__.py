"""The native backend: whole paths in compiled C, generated from the same per-path functions that JAX lanes run.

graph.py       jaxprs to blocks of equations on values without unit axes; views, hoisting, common subexpressions
views.py       how each structural primitive (broadcast, slice, gather, scatter, …) reads into that form
indexing.py    gather, scatter, concatenation
simplify.py    equations that need no code
flows.py       cond, while and scan
primitives.py  the closed table of elementwise primitives and their C
loops.py       fused loops over array equations
emitter.py     scheduling of a block, storage, in-place results
control.py     branches, loops and scatters in C
source.py      one C file per cell structure
compile.py     finding the compiler, the cache of libraries
run.py         the driver: a drop-in for `engine.build.run_lanes`
"""

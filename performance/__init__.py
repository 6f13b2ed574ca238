"""What the measuring costs, in ratios to the bare model: ``python -m performance``.

Benchmarks, each of which compares things that ran in one session on one machine:

- ``report``: a whole report against a bare forward pass over the same pictures;
- ``attention``: one attention row through ``trace`` against full maps, in memory and in time;
- ``memory``: what a measurement holds as the number of pictures grows;
- ``shards``: extracting tokens against a bare forward pass, its memory, and room on the disk.

Nothing here is a test: times depend on the machine and on what else runs there, so run it on an
idle one. About twelve minutes on two cores; ``--quick`` only shows that everything runs.
"""

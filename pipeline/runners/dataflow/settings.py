"""What newsbeam sets on Dataflow where nobody else has; nothing here needs Beam."""

from __future__ import annotations

#: Bundles that a process of a worker works on at once, where Pub/Sub is read by Dataflow itself. There
#: is a process for each core, and the model keeps it busy: more bundles only make each of them slower.
THREADS = 4
#: What a worker should have at least, for those kinds that are chosen by it (Dataflow Prime): two
#: processes with a model each, and room for a backlog.
MIN_RAM = "4GB"
AT_LEAST_ONCE_MODE = "streaming_mode_at_least_once"

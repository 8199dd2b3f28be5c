"""The names of formats, and what a schema registry calls them."""

from __future__ import annotations

from transforms.rows import FORMATS as OF_LINES

#: Of each format that a registry has schemas of, its name there.
TYPES = {"json": "JSON", "avro": "AVRO", "protobuf": "PROTOBUF"}
#: What a message may be; a file, and stdin, only what lines can be.
FORMATS = (*OF_LINES, "avro", "protobuf")
